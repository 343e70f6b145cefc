"""The offline AWS: the template, machines and functions that are deployed, only AWS replaced. Never
deployed.
"""
