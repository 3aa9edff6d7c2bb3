"""kubegate beside kubectl proxy, nginx and HAProxy: see ../compare.

programs   what it needs, found, built or installed
processes  what it started, what that costs, and its end
servers    the API servers behind the proxies
proxies    the proxies and their configurations
loads      the load tools and what they report
bench      what the rows share: turns, rounds, medians
rows       what is measured: a function a row
table      the figures as one table
figures    the figures as drawings
"""
