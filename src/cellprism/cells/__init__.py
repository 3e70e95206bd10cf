"""AnnData at the door: read, check and align cells.

=====================
================================================================================ ``read``
    ``read_cells``, ``check_cells``: from a file or object to counts in a model's genes ``genes``
     ``GeneTable``, ``read_gene_table``, ``write_gene_table``: the genes a model knows
``datasets``           ``DATASETS``, ``fetch_dataset``: data sets with origin, licence and checksum
``report``             ``CellsReport``, ``cells_report``: what was matched, summed, dropped and absent
``split``              ``split_cells``: parts with every cell type in the same shares
=====================
================================================================================
"""
