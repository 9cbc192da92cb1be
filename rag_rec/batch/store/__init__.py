"""Files of a job: records, failures, manifest."""
