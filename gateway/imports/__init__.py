"""Imports of whole catalogs: a file of products, or a point of sale, read row by row (BEY-15).

`python -m gateway.imports`, also known as `tillbridge import`, reads the source and sends its
products to the catalog, which keeps how far the run got; so whoever runs it again goes on where it
broke off. Which columns a file has is known to the vendor's package alone, below `pos` and `ecom`.

Words:
    row: a row of the source, counted from 1; a file's header is row 1.
    family: rows that follow each other and are one product.
    layout: what the columns of a file mean.
    draft: a product as its rows have it, before the catalog is asked which ids it knows it by.
"""
