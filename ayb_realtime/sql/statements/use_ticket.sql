-- Take what a ticket stands for. Of several requests one gets it. By a connection of Django's, whose search_path is the site's.
delete from ayb_realtime.ticket where digest operator(pg_catalog.=) %(digest)s
returning held
