-- When the task's last claim was made, while nobody gave it back, and its attempts before that claim.
ALTER TABLE tasks ADD COLUMN claimed_at INTEGER;
ALTER TABLE tasks ADD COLUMN history TEXT;
