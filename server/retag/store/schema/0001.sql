-- Times are UTC integer milliseconds. Visitor ids are 16 bytes, time-ordered (UUIDv7 layout).

CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created INTEGER NOT NULL) STRICT;

-- Oldest to newest by id; the newest signs, all verify.
CREATE TABLE signing_key (
    id INTEGER PRIMARY KEY, secret BLOB NOT NULL CHECK (length(secret) >= 32), created INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
    prefix TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, name TEXT NOT NULL,
    hash BLOB NOT NULL, scopes TEXT NOT NULL, created INTEGER NOT NULL, last_used INTEGER, revoked INTEGER
) STRICT;

CREATE TABLE tag (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, name TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE', config TEXT NOT NULL DEFAULT '{}',
    created INTEGER NOT NULL, updated INTEGER NOT NULL, last_fired INTEGER
) STRICT;

-- The log: appended in the acknowledged transaction, no secondary index, folded from afterwards.
-- standing: 0 counted, else why it is not (events.STANDINGS). The fold may correct visitor and standing.
CREATE TABLE log (
    seq INTEGER PRIMARY KEY, account INTEGER NOT NULL, tag INTEGER NOT NULL, visitor BLOB NOT NULL,
    name TEXT NOT NULL, time INTEGER NOT NULL, received INTEGER NOT NULL, event_id TEXT NOT NULL,
    source INTEGER NOT NULL, platform INTEGER NOT NULL, url TEXT NOT NULL,
    data BLOB NOT NULL, people BLOB NOT NULL, context BLOB NOT NULL, standing INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Bots: kept apart, countable, in no audience.
CREATE TABLE bot_log (
    seq INTEGER PRIMARY KEY, account INTEGER NOT NULL, tag INTEGER NOT NULL, visitor BLOB NOT NULL,
    name TEXT NOT NULL, time INTEGER NOT NULL, received INTEGER NOT NULL, event_id TEXT NOT NULL,
    source INTEGER NOT NULL, platform INTEGER NOT NULL, url TEXT NOT NULL,
    data BLOB NOT NULL, people BLOB NOT NULL, context BLOB NOT NULL, standing INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX bot_visitor ON bot_log (visitor);

-- Named counters: 'folded' (watermark: last folded seq), 'step' (last fold step), 'apart' (last bot_log seq ever
-- purged), 'wipe' (the WAL still holds what was erased), 'graves' (changes of tombstones and objections).
CREATE TABLE progress (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- The (visitor, log position) file: look-ups, refolds and erasure never scan the log.
CREATE TABLE trail (
    visitor BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (visitor, seq)
) STRICT, WITHOUT ROWID;

-- Who showed which identifier (people.KINDS), by account.
CREATE TABLE identifier (
    account INTEGER NOT NULL, kind INTEGER NOT NULL, value BLOB NOT NULL, visitor BLOB NOT NULL,
    seen INTEGER NOT NULL, PRIMARY KEY (account, kind, value, visitor)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifier_visitor ON identifier (visitor);

-- Identifiers that suddenly joined too many visitors: they no longer attach and find nobody.
CREATE TABLE quarantine (
    account INTEGER NOT NULL, kind INTEGER NOT NULL, value BLOB NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (account, kind, value)
) STRICT, WITHOUT ROWID;

-- Event and order ids met, by a 63-bit hash of (account, name, id). `who` is visitor and tag (24 bytes) for a
-- browser's event, the tag (8 bytes) for a server's, and 'f' or 'o' and the tag for a file's or an order's, which
-- are kept for ever; the others until 9 days after `met`. `pair` is the seq of the other half, 0 when there is none.
CREATE TABLE seen (
    key INTEGER NOT NULL, who BLOB NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL,
    pair INTEGER NOT NULL, visitor BLOB NOT NULL, met INTEGER NOT NULL, PRIMARY KEY (key, who)
) STRICT, WITHOUT ROWID;

-- Random secrets that never leave the file.
CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO secret VALUES ('tombstone', randomblob(32));

-- Erased visitors, by a keyed hash alone.
CREATE TABLE tombstone (hash BLOB PRIMARY KEY, erased INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Visitors who objected: in no audience until they agree again.
CREATE TABLE opt_out (visitor BLOB PRIMARY KEY, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE audience (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, name TEXT NOT NULL,
    description TEXT, type TEXT NOT NULL, rule TEXT NOT NULL, build INTEGER NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, removed INTEGER
) STRICT;

-- A build is one rule being folded. Editing a rule makes a new build; the audience points at the new one
-- when it is whole, and the old one's rows stay, frozen, for as long as an as_of may name them.
CREATE TABLE build (
    id INTEGER PRIMARY KEY, audience INTEGER NOT NULL REFERENCES audience, rule TEXT NOT NULL,
    live_from INTEGER NOT NULL,            -- events with a greater seq reach it by the live fold
    backfilled INTEGER NOT NULL DEFAULT 0, -- events up to this seq reached it by the backfill
    ready INTEGER,                         -- when the backfill ended
    ready_step INTEGER,                    -- the step from which it answers for the audience
    retired INTEGER,                       -- when another build took over, or the audience was removed
    retired_step INTEGER                   -- the first step at which it no longer answers
) STRICT;
CREATE INDEX build_audience ON build (audience);

-- One row for each visitor with anything remembered; a member while opens <= now < closes.
CREATE TABLE member (
    build INTEGER NOT NULL, visitor BLOB NOT NULL, opens INTEGER NOT NULL, closes INTEGER NOT NULL,
    last INTEGER NOT NULL, memory BLOB, PRIMARY KEY (build, visitor)
) STRICT, WITHOUT ROWID;

-- The window before each change in who is in; a reader at an as_of undoes the later ones. cause: 0 events, rules
-- and lists, 1 opted out, 2 erased (exports that held them are gone).
CREATE TABLE transition (
    id INTEGER PRIMARY KEY, step INTEGER NOT NULL, build INTEGER NOT NULL, visitor BLOB NOT NULL,
    opens INTEGER NOT NULL, closes INTEGER NOT NULL, last INTEGER NOT NULL, at INTEGER NOT NULL,
    cause INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX transition_visitor ON transition (build, visitor, step);
CREATE INDEX transition_gone ON transition (build, step) WHERE cause > 0;

-- Customer lists. A record is a digest (16 bytes MD5, 20 SHA-1, 32 SHA-256) of one identifier, of whichever
-- kind; a raw record is stored as all its digests, each naming the others in `also`, so that removing one
-- removes all. `uploaded` and `removed` count what was sent, as Pinterest counts: duplicates and strangers too.
CREATE TABLE customer_list (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, name TEXT NOT NULL,
    list_type TEXT NOT NULL, batches INTEGER NOT NULL DEFAULT 0, uploaded INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0, invalid INTEGER NOT NULL DEFAULT 0,
    exceptions TEXT NOT NULL DEFAULT '{}', created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;
CREATE TABLE customer_record (
    list INTEGER NOT NULL, value BLOB NOT NULL, also BLOB, PRIMARY KEY (list, value)
) STRICT, WITHOUT ROWID;

-- Uploads waiting to be applied, one slice a row: operation 1 add, 0 remove; records is msgpack [[digest, …]],
-- the digests of one record together.
CREATE TABLE customer_slice (
    id INTEGER PRIMARY KEY, list INTEGER NOT NULL, operation INTEGER NOT NULL, records BLOB NOT NULL
) STRICT;

-- Who a list matches, by any identifier they ever showed: kept by store.lists, and by the fold when a visitor
-- shows a new identifier. A clause with customer_list_id holds for these visitors.
CREATE TABLE customer_match (
    list INTEGER NOT NULL, visitor BLOB NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (list, visitor)
) STRICT, WITHOUT ROWID;

-- Act-alikes: the latest fit of each build (store.alike.Report as JSON; chosen is NULL when the seed was too
-- small), and the visitors for whom its seed clause holds.
CREATE TABLE likeness (
    build INTEGER PRIMARY KEY, fitted INTEGER NOT NULL, chosen INTEGER, report TEXT NOT NULL
) STRICT;
CREATE TABLE likeness_member (
    visitor BLOB NOT NULL, build INTEGER NOT NULL, PRIMARY KEY (visitor, build)
) STRICT, WITHOUT ROWID;

-- Consent changes with their proof: when, by which mechanism, and the string it gave.
CREATE TABLE consent_log (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL, visitor BLOB NOT NULL, at INTEGER NOT NULL,
    granted INTEGER NOT NULL, mechanism TEXT NOT NULL, proof TEXT NOT NULL
) STRICT;
CREATE INDEX consent_visitor ON consent_log (visitor);
