-- Records of files that are gone, to remove the oldest of them.
CREATE INDEX files_removed ON files (removed_at) WHERE removed_at IS NOT NULL;
