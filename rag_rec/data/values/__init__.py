"""Values as files write them: numbers, times, lists, flags and texts, a column at a time."""
