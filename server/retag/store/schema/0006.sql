-- When a fit was asked for (UTC ms); one asked for since the latest began is due.
ALTER TABLE likeness ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;
