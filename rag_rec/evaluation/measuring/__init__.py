"""From answers to a report: rows, tests, blends, sensitivity, the leak audit."""
