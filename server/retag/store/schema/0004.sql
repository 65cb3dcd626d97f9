-- Webhooks. `events` are the names asked for, with spaces; `above`: whether the audience had `size` members or more
-- when last looked at. The secret signs, so it is kept as it is.
CREATE TABLE webhook (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, url TEXT NOT NULL,
    events TEXT NOT NULL, audience INTEGER, size INTEGER, above INTEGER, secret BLOB NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE', created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;

-- The outbox: `due` is when to try next, NULL once delivered or given up; `answer` the last HTTP status.
CREATE TABLE webhook_delivery (
    id INTEGER PRIMARY KEY, webhook INTEGER NOT NULL, name TEXT NOT NULL, event TEXT NOT NULL,
    body BLOB NOT NULL, at INTEGER NOT NULL, due INTEGER, attempts INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'WAITING', answer INTEGER, error TEXT, ended INTEGER
) STRICT;
CREATE INDEX webhook_delivery_webhook ON webhook_delivery (webhook, id);
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, due) WHERE due IS NOT NULL;

-- Scheduled exports: every `every` ms from `starts`; `due` is when to run next, or to try again; `as_of` what was
-- delivered last, from which a delta goes on.
CREATE TABLE export_schedule (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account, audience INTEGER NOT NULL,
    asked TEXT NOT NULL, destination TEXT NOT NULL, file TEXT, delta INTEGER NOT NULL, every INTEGER NOT NULL,
    starts INTEGER NOT NULL, due INTEGER NOT NULL, as_of TEXT, status TEXT NOT NULL DEFAULT 'ACTIVE',
    created INTEGER NOT NULL, updated INTEGER NOT NULL
) STRICT;

-- Their runs. One that has not ended is taken up again, with its as_of, so that the same file is made however often
-- it is begun. status: ASKED, RUNNING, WAITING (to be tried again), DELIVERED, FAILED. `files` is a JSON array of what
-- was delivered.
CREATE TABLE export_run (
    id INTEGER PRIMARY KEY, schedule INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER,
    status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, as_of TEXT NOT NULL DEFAULT '', since TEXT,
    error TEXT, files TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX export_run_schedule ON export_run (schedule, id);
CREATE INDEX export_run_open ON export_run (schedule) WHERE ended IS NULL;
