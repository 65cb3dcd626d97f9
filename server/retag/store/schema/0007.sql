-- What the rules remember of a visitor, so that a visit changes one page: the marks of up to 32 builds in a row,
-- `part` is build / 32 (store.remembered). A row that fits a quarter of a page needs no page of its own.
-- A member row is a window alone: those who are in, or will be by time. `gathered` is store.remembered.Gathering.
CREATE TABLE memory (
    visitor BLOB NOT NULL, part INTEGER NOT NULL, marks BLOB NOT NULL, PRIMARY KEY (visitor, part)
) STRICT, WITHOUT ROWID;
INSERT INTO memory SELECT visitor, build / 32, gathered(build, opens, closes, last, memory) FROM member
    WHERE memory IS NOT NULL AND build IN (SELECT id FROM build WHERE retired IS NULL) GROUP BY 1, 2;
ALTER TABLE member RENAME TO member_before;
CREATE TABLE member (
    build INTEGER NOT NULL, visitor BLOB NOT NULL, opens INTEGER NOT NULL, closes INTEGER NOT NULL,
    last INTEGER NOT NULL, PRIMARY KEY (build, visitor)
) STRICT, WITHOUT ROWID;
INSERT INTO member SELECT build, visitor, opens, closes, last FROM member_before WHERE opens < closes;
DROP TABLE member_before;
