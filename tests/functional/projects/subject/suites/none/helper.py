"""No test in sight."""
