"""A pytest plugin, ``-p tests.worker``: each worker of pytest-xdist uses the servers that were started for it.

pytest imports it before Django reads its settings.
"""

import os

from tests.services import choose_servers

choose_servers(os.environ)
