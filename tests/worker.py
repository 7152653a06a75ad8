"""A plugin of pytest, ``-p tests.worker``: each worker of pytest-xdist takes the servers that were started for it.

pytest imports it before Django reads its settings.
"""

import os

from tests.services import choose_servers

choose_servers(os.environ)
