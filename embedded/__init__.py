"""PostgreSQL and Valkey from wheels, run as child processes of the program that needs them.

The demo runs PostgreSQL this way, and the tests run both, so that neither needs anything installed. A server runs
exactly as long as the ``with`` block that started it.
"""

from embedded.child import Child, ServerError
from embedded.ports import free_port, is_free
from embedded.postgres import Postgres, postgres
from embedded.valkey import valkey

__all__ = ["Child", "Postgres", "ServerError", "free_port", "is_free", "postgres", "valkey"]
