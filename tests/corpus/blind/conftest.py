"""Nothing to collect where the extension is not installed, as in leakgrid's own test run."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("corpus_blind") else ["tests/*"]
