-- The tag's files as they were served, so that pages which name one by its hash keep it (web.tagfile).
CREATE TABLE tag_file (name TEXT PRIMARY KEY, plain BLOB NOT NULL, served INTEGER NOT NULL) STRICT;
