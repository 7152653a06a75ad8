pytest_plugins = ["ayb_realtime.testing"]
