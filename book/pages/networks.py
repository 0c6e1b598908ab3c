"""The trained networks of a study, to take away: their cards, and their files."""

from pages.places import REFERENCE, to_project, write

LARGEST = 150_000  # bytes of a file that the book holds; larger ones are in the repository alone
PAGE = """\
# Networks to take

Trained networks of this study, packed: each weight in its bits. `snnq.unpack(path)` gives one back, ready to
classify; the card says on what it was trained and how well it does.
"""
CARD = """
```{{include}} {card}
:heading-offset: 1
```

{file}
"""


def write_networks(study: str) -> None:
    text = PAGE
    for packed in sorted((REFERENCE / study / "networks").glob("*.safetensors")):
        path = f"results/reference/{study}/networks/{packed.name}"
        file = f"{{download}}`{packed.name} <{to_project(path)}>`"
        if packed.stat().st_size > LARGEST:
            file = f"`{path}` in the repository, {packed.stat().st_size:,} bytes"
        card = f"../../../results/reference/{study}/networks/{packed.stem}.md"
        text += CARD.format(card=card, file=file)
    write(f"studies/{study}/networks.md", text)
