"""x"""
from cellprism.report.section import Section
def claims(found, context): return []
def section(found, claims, context): return Section("adds","What does an autoencoder add?","What it adds","", absent="" if found else "x")
