-- One file for each visitor: where in the log their events are, and what the rules remember of them. Both change with
-- every visit, and so are one page and not two. `place` is an event's seq, or 0, -1, -2 … for part 0, 1, 2 … of the
-- marks (store.remembered), which are NULL for an event. Read as `trail` and `memory`, written as it is.
CREATE TABLE visitor_file (
    visitor BLOB NOT NULL, place INTEGER NOT NULL, marks BLOB, PRIMARY KEY (visitor, place)
) STRICT, WITHOUT ROWID;
INSERT INTO visitor_file
    SELECT visitor, -part AS place, marks FROM memory UNION ALL SELECT visitor, seq, NULL FROM trail ORDER BY 1, 2;
DROP TABLE memory;
DROP TABLE trail;
CREATE VIEW trail AS SELECT visitor, place AS seq FROM visitor_file WHERE place > 0;
CREATE VIEW memory AS SELECT visitor, -place AS part, marks FROM visitor_file WHERE place <= 0;
