"""The suites here belong to the extensions beside them and run in their cells, never here."""

collect_ignore_glob = ["*/suite/*", "*/tests/*"]
