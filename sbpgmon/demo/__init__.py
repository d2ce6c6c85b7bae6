"""The sample sportsbook, and the PostgreSQL server that it, the tests and the benchmarks run on."""
