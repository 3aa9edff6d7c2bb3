"""kubegate beside kubectl proxy, nginx and HAProxy: see ../compare.

programs   the programs it needs: found, built or installed
processes  what it started: CPU, memory, end
servers    the API servers behind the proxies
proxies    the proxies and their configurations
loads      the load tools and what they report
bench      what the rows share: order, rounds, medians
rows       what is measured: one function per row
table      the figures as one table
figures    the figures as drawings
"""
