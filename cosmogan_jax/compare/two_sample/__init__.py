"""Two-sample tests: is a statistic distributed alike over two sets of maps?"""
