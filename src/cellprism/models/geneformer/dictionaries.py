"""Geneformer's gene dictionaries: token ids, usual levels, symbols, retired Ensembl ids.

- Published as pickles, which can run any code when read. They hold nothing but dictionaries of text and numbers, so
  the reader here knows nothing else and refuses whatever names a class or function.
- ``files.convert`` turns them into one JSON file beside the weights, with the SHA-256 of each pickle; where it is there
  no pickle is opened.
- A repository holds several vocabularies; the one with as many tokens as the model has embeddings is taken.
- V2's dictionary has ``<cls>`` and ``<eos>``, V1's has not: that, not a name, decides how cells are read.
"""

import io
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from cellprism.cells.align import data_genes
from cellprism.cells.genes import GeneTable
from cellprism.errors import CellsError, DamagedError, ModelError
from cellprism.models import hub
from cellprism.models.geneformer.tokens import nonzero_medians
from cellprism.models.pickled import POINTER
from cellprism.store.atomic import read_json, sha256, write_json
from cellprism.store.download import Progress

CONVERTED = "gene_dictionary.json"
PAD, MASK, CLS, EOS = "<pad>", "<mask>", "<cls>", "<eos>"
NO_GENE = re.compile(r"<\w+>")
PUBLISHED_IN = ("geneformer", "geneformer/gene_dictionaries_30m")
"""Folders of the published repository that hold dictionaries; models lie in folders beside these, or around them."""
PICKLES = ("token_dictionary", "gene_median_dictionary", "gene_name_id_dict", "ensembl_mapping_dict")
UNREADABLE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    MemoryError, UnicodeDecodeError,
)  # fmt: skip


@dataclass(frozen=True)
class Dictionary:
    """What a Geneformer knows of its genes."""

    tokens: Mapping[str, int]
    """Token id of every gene, by Ensembl id, and of ``<pad>``, ``<mask>`` and, in V2, ``<cls>`` and ``<eos>``."""
    medians: Mapping[str, float]
    """Each gene's usual level: median of counts per ten thousand over a corpus, in cells that express it."""
    symbols: Mapping[str, str] = field(default_factory=dict)
    """Ensembl id of each symbol; a gene may have several, the first names it."""
    successors: Mapping[str, str] = field(default_factory=dict)
    """For Ensembl ids without a token of their own, the one that their counts belong to."""
    source: Mapping[str, str] = field(default_factory=dict)
    """Where it comes from: files with their SHA-256, or in words."""

    def __post_init__(self):
        problems = []
        if sorted(self.tokens.values()) != list(range(len(self.tokens))):
            problems.append(f"token ids are not 0 to {len(self.tokens) - 1}, each once")
        if PAD not in self.tokens:
            problems.append(f"no token {PAD!r}")
        if (CLS in self.tokens) != (EOS in self.tokens):
            problems.append(f"only one of {CLS!r} (V2: before the genes) and {EOS!r} (behind them)")
        if not self.genes:
            problems.append("no genes")
        if bad := [gene for gene in self.genes if not 0 < self.medians.get(gene, 0.0) < np.inf]:
            problems.append(f"{len(bad)} genes without a median above 0, such as {bad[0]!r}")
        if problems:
            where = ", ".join(self.source) or "made here"
            raise ModelError(f"the gene dictionary ({where}) cannot be used: {'; '.join(problems)}")

    @cached_property
    def genes(self) -> tuple[str, ...]:
        """Genes by Ensembl id, in the order of their tokens."""
        return tuple(sorted((t for t in self.tokens if not NO_GENE.fullmatch(t)), key=lambda t: self.tokens[t]))

    @property
    def special(self) -> bool:
        """Whether cells are read between ``<cls>`` and ``<eos>``, as in V2."""
        return CLS in self.tokens

    def gene_table(self) -> GeneTable:
        """The genes in the order of their tokens, by symbol where there is one, else by Ensembl id."""
        names: dict[str, list[str]] = {gene: [] for gene in self.genes}
        for symbol, gene in self.symbols.items():
            if gene in names:
                names[gene].append(symbol)
        first = [symbols[0] if symbols else gene for gene, symbols in names.items()]
        for old, gene in self.successors.items():
            if gene in names and old not in self.tokens:
                names[gene].append(old)
        return GeneTable.of(first, self.genes, list(names.values()))

    def named(self, table: GeneTable) -> "Dictionary":
        """The same dictionary with the symbols and aliases of ``table``, matched by Ensembl id, in place of its own."""
        ids = dict(zip(table.symbol, table.ensembl, strict=True))
        symbols = ids | {alias: ids[symbol] for alias, symbol in table.alias.items()}
        return replace(self, symbols={symbol: gene for symbol, gene in symbols.items() if gene in self.tokens})

    def save(self, path: Path) -> None:
        """Write the dictionary as JSON that ``read_converted`` reads."""
        write_json(path, asdict(self))

    @classmethod
    def of(
        cls,
        genes: GeneTable,
        medians: Sequence[float] | Float[np.ndarray, " gene"],
        special: bool = True,
        source: Mapping[str, str] | None = None,
    ) -> "Dictionary":
        """A dictionary for genes of one's own: by Ensembl id where known, else by symbol.

        Args:
            genes: the genes, in the order that their tokens get.
            medians: usual level of each.
            special: with ``<cls>`` and ``<eos>``, as in V2.
            source: where the medians come from.
        """
        keys = [ensembl or symbol for symbol, ensembl in zip(genes.symbol, genes.ensembl, strict=True)]
        names = [PAD, MASK, CLS, EOS] if special else [PAD, MASK]
        return cls(
            tokens={token: i for i, token in enumerate([*names, *keys])},
            medians=dict(zip(keys, map(float, medians), strict=True)),
            symbols=dict(zip(genes.symbol, keys, strict=True)),
            source=dict(source or {"made here": "medians as given"}),
        )

    @classmethod
    def of_cells(cls, adata: AnnData, special: bool = True) -> "Dictionary":
        """A dictionary of the genes that some cells express, with medians over these cells in place of a corpus.

        Good for a network trained from scratch or left random; a published network needs its own dictionary.

        Args:
            adata: raw counts, as ``read_cells`` returns them without a model.
            special: with ``<cls>`` and ``<eos>``, as in V2.

        Raises:
            CellsError: a cell without counts, or genes that cannot be told apart.
        """
        counts = sp.csr_matrix(adata.X)
        totals = np.asarray(adata.obs["total_counts"] if "total_counts" in adata.obs else counts.sum(axis=1))
        if (totals <= 0).any():
            raise CellsError("the AnnData", [f"{int((totals <= 0).sum())} cells have no counts; drop them first"])
        medians = nonzero_medians(counts, totals.astype(np.float64).ravel())
        found = np.flatnonzero(np.isfinite(medians))
        ensembl = data_genes(cast(pd.DataFrame, adata.var)).ensembl
        table = GeneTable.of([str(name) for name in adata.var_names[found]], [ensembl[i] for i in found])
        said = f"medians over {adata.n_obs:,} cells of {adata.uns.get('cellprism', {}).get('source', 'an AnnData')}"
        return cls.of(table, medians[found], special, {"made here": f"{said}, no corpus"})


class _PlainUnpickler(pickle.Unpickler):
    """Reads the types that pickle knows by itself (text, numbers, dictionaries); everything else is refused by name."""

    def find_class(self, module: str, name: str) -> Any:
        raise ModelError(
            f"it names {module}.{name}, which could run code; a gene dictionary holds text and numbers alone. Fetch "
            f"the published file again, or write the dictionary as {CONVERTED}"
        )


def read_pickle(path: Path, kind: type) -> dict[str, Any]:
    """Read a pickled dictionary from text to ``kind`` (int, float or str), and nothing else.

    Raises:
        ModelError: it holds anything else; nothing of it was run.
        DamagedError: it is no pickle, or a part of one.
    """
    data = path.read_bytes()
    if data.startswith(POINTER):
        raise DamagedError(f"{path} is a Git LFS pointer, not the file itself; run git lfs pull in its repository")
    try:
        found = _PlainUnpickler(io.BytesIO(data)).load()
    except ModelError as error:
        raise ModelError(f"{path} was not read: {error}") from error
    except UNREADABLE as error:
        raise DamagedError(f"{path} is not a readable pickle ({error}); fetch or copy it again") from error
    return _plain(found, kind, path)


def read_converted(path: Path) -> Dictionary:
    """Read the JSON file that ``Dictionary.save`` writes.

    Raises:
        ModelError: a part is missing or of another type.
        DamagedError: the file is truncated or altered.
    """
    found = read_json(path)
    parts = {"tokens": int, "medians": float, "symbols": str, "successors": str, "source": str}
    if not isinstance(found, dict) or found.keys() != parts.keys():
        raise ModelError(f"{path} is not a converted gene dictionary; expected {', '.join(parts)}")
    plain = {name: _plain(found[name], kind, f"{path}: {name}") for name, kind in parts.items()}
    return Dictionary(**plain)


def find(folder: Path, vocabulary: int) -> Dictionary:
    """The dictionary of a model's folder: the converted one, else the published pickles that fit.

    Args:
        folder: the model's folder.
        vocabulary: tokens of the model, which tells V1's dictionary from V2's.

    Raises:
        ModelError: none of this size; the message lists what was found and what is expected where.
        DamagedError: a file is truncated or altered.
    """
    seen: list[str] = []
    if (folder / CONVERTED).is_file():
        dictionary = read_converted(folder / CONVERTED)
        if len(dictionary.tokens) == vocabulary:
            return dictionary
        seen.append(f"{CONVERTED} with {len(dictionary.tokens):,}")
    places = [folder, *(above / place for above in (folder, folder.parent) for place in PUBLISHED_IN)]
    for path in [path for place in places for path in sorted(place.glob("token_dictionary*.pkl"))]:
        tokens = read_pickle(path, int)
        if len(tokens) == vocabulary:
            return _published(path, tokens)
        seen.append(f"{path.name} with {len(tokens):,}")
    raise ModelError(
        f"no gene dictionary of {vocabulary:,} tokens for {folder}; found {', '.join(seen) or 'none'}. Copy "
        "token_dictionary*.pkl and gene_median_dictionary*.pkl of the model's release, and gene_name_id_dict*.pkl and "
        f"ensembl_mapping_dict*.pkl for symbols and retired ids, into the folder or into {folder.parent / 'geneformer'}"
    )


def fetch_dictionaries(folder: Path, offline: bool = False, progress: Progress | None = None) -> None:
    """Fetch the dictionaries of a model of the hub, which its repository keeps beside the model's folder.

    Nothing happens for a folder that was not fetched.

    Raises:
        ModelError: offline and not in the cache.
        DamagedError: something else came than was announced.
        CellprismError: the hub cannot be reached.
    """
    said = hub.provenance(folder)
    if said is None:
        return
    for place in PUBLISHED_IN:
        source = hub.HubSource(said["repository"], said["revision"], place)
        if any(re.fullmatch(rf"{place}/token_dictionary\w*\.pkl", name) for name in hub.facts(source, offline).files):
            hub.fetch(source, offline, [f"{name}*.pkl" for name in PICKLES], progress)


def _published(path: Path, tokens: dict[str, int]) -> Dictionary:
    """The four dictionaries of one release; their names have the same ending."""
    ending = path.name.removeprefix("token_dictionary")
    medians = path.with_name(f"gene_median_dictionary{ending}")
    if not medians.is_file():
        raise ModelError(f"{path} has no {medians.name} beside it; genes cannot be ranked without their medians")
    source = {path.name: sha256(path), medians.name: sha256(medians)}
    others: list[dict[str, str]] = []
    for name in PICKLES[2:]:
        other = path.with_name(f"{name}{ending}")
        others.append(read_pickle(other, str) if other.is_file() else {})
        source |= {other.name: sha256(other)} if other.is_file() else {}
    successors = {old: gene for old, gene in others[1].items() if old != gene and gene in tokens}
    return Dictionary(tokens, read_pickle(medians, float), others[0], successors, source)


def _plain(found: Any, kind: type, where: Path | str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ModelError(f"{where} holds a {type(found).__name__}; expected a dictionary from text to {kind.__name__}")
    allowed = (int, float) if kind is float else (kind,)
    for key, value in found.items():
        if not isinstance(key, str) or type(value) not in allowed:
            raise ModelError(
                f"{where} holds {key!r}: {value!r}"[:200] + f"; expected a dictionary from text to {kind.__name__}"
            )
    return found
