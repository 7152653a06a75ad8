"""Random tables, policies and changes, and what Postgres itself says of them: for the proof in test_policies.py."""
