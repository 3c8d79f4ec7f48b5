"""What is recorded of the work: log lines, rows of `log_api`, the request's context."""
