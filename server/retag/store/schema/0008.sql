-- A row of `memory` has, behind its marks, its traces: when a visitor last did what by itself lets nobody in, such as
-- a purchase that excludes. Rules that ask for the same share one (store.remembered). msgpack: [marks, traces].
UPDATE memory SET marks = CAST(x'92' || marks || x'80' AS BLOB);
