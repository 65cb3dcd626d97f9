-- Who downloaded what: a key's prefix, or `link of` it; rows and hash of what was sent whole, or again.
CREATE TABLE download (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL,
    export TEXT NOT NULL, audience INTEGER NOT NULL, format TEXT NOT NULL, as_of TEXT NOT NULL,
    rows INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT;
CREATE INDEX download_account ON download (account, id);
