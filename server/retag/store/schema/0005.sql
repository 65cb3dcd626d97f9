-- Visitors who agreed to be remembered, and not that what identifies them elsewhere is given to others: in
-- audiences, and in no file that holds identifiers. step: the fold step from which that is known.
CREATE TABLE withheld (
    visitor BLOB PRIMARY KEY, since INTEGER NOT NULL, step INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE consent_log ADD COLUMN sharing INTEGER NOT NULL DEFAULT 1;
