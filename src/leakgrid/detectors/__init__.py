"""What sees leaks: the suite run in its cell, and what its journals and XML tell."""
