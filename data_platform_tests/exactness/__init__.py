"""Is the sync exact? Seeded schedules of concurrent writers, graded by an independent read; and mutants."""
