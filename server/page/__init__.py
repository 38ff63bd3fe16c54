"""The page to look at: sessions, jobs, reports and limits of whoever looks, as a browser shows them.

`routes` are for the HTTP service, `visitors` knows who has signed in, `views` is what is shown and `answers` how it is
sent. Only reading is done here; everything works without JavaScript.
"""
