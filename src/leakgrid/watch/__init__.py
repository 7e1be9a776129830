"""What PyO3 released, and the reasons to evaluate again.

``index``, ``advisories`` and ``issue`` speak HTTP through ``http``; everything else here is pure:
the command brings files, stored results and the installed programs.
"""
