CREATE INDEX visits_at ON visits (at);
