"""leakgrid: does a PyO3 or Python upgrade make my extension leak, and where?"""

__version__ = "0.1.0"
