"""From a target and a pair of versions to a wheel, an environment and a folder to test in."""
