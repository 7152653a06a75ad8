"""Optional endpoints behind the AYB JavaScript SDK's ``ayb.auth``: include ``ayb_realtime.accounts.urls``."""
