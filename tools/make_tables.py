"""The grammar behind data/tasks/tables: facts about a character, and a story opening with them.

    python tools/make_tables.py            writes data/tasks/tables/{train,validation,test}.jsonl
    python tools/make_tables.py --folder X writes them into the folder X

The same words and the same seed give the same bytes on any machine: only `random.Random.random`
is used, whose sequence Python promises to keep.

Each entry of STRUCTURES is one way to tell some facts, written by hand:
`{animal}` a value, `{a animal}` the value with a or an, `{at place}` "by the pond", `{to place}`
"to the pond", `{serving food}` "a pot of honey", `{he}` `{him}` `{his}` by the name; `(x|y)` one of
them, `[x]` perhaps. A slot that is written becomes a fact of the source, any other does not.
Values behind the mark `/` of a list are used in the test split only.
"""

# ruff: noqa: E501 -- a structure stands on one line, however long

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

SEED = 20
SIZES = {"train": 450, "validation": 100, "test": 250}
UNSEEN = 0.15  # chance that a slot of a test row takes a value that training never has
NEAR = 0.45  # two rows never share more of their runs of three words than this (Jaccard)

BOYS = """Tom Ben Jack Leo Max Finn Oscar Hugo Sam Ned Otto Felix Jasper Toby Rufus Simon Peter Milo
Henry Albert Edgar Walter Percy Barnaby Ivan Omar Kofi Pablo Ravi Yusuf Lars Emil
/ Nico Tariq Bruno Casper Gus Monty"""
GIRLS = """Lily Rosa Emma Nora Ada Mia Clara Ella Greta Hazel Ida Kate Lucy Maya Molly Nell Penny Pia
Ruby Sally Sofia Tilly Uma Vera Wendy Zoe Amina Priya Leila Anya Freya Ingrid
/ Yuki Matilda Betty Dora Flora Josie"""

# One value a line or between commas; what stands before ":" is not part of the value but how it
# is used: the preposition of a place, the helping of a food.
LISTS = {
    "animal": """fox, hare, bear, mouse, badger, hedgehog, squirrel, rabbit, mole, otter, goat, lamb,
pig, cow, pony, donkey, cat, dog, duck, goose, hen, crow, owl, robin, frog, toad, snail, beetle, ant,
bee, deer, wolf, beaver, turtle, lizard, sheep, bat, swan, camel, monkey, elephant, lion, penguin,
stork / weasel, panda, magpie, cricket, tiger, raccoon, kangaroo""",
    "nature": """shy, brave, lazy, clever, kind, grumpy, sleepy, proud, noisy, gentle, curious, hungry,
greedy, merry, quiet, silly, careful, clumsy, stubborn, cheerful, lonely, polite, forgetful, nosy,
wise, dreamy, plump, bold, timid, patient / restless, honest, messy, cheeky, tidy""",
    "place": """in: mill, in: barn, in: forest, in: garden, in: meadow, in: castle, in: cottage, in: cave,
in: attic, in: bakery, in: lighthouse, in: orchard, in: valley, in: stable, in: tower, in: village,
at: station, by: well, by: pond, by: river, by: lake, by: sea, by: waterfall, under: bridge,
on: hill, on: island, on: farm, on: beach, on: mountain, in: cellar, at: inn, by: brook, in: swamp,
under: old oak, in: toy shop / in: greenhouse, in: library, in: windmill, by: garden gate,
in: palace, on: roof""",
    "food": """a loaf of: bread, a jar of: honey, a plate of: cheese, a slice of: apple pie, a bag of: plums,
a bag of: cherries, a bowl of: soup, a bowl of: porridge, a plate of: pancakes, a bag of: nuts,
a bowl of: berries, a plate of: toast, a slice of: cake, a bunch of: carrots, a bowl of: noodles,
a bowl of: rice, a basket of: pears, a plate of: cookies, a box of: gingerbread,
a basket of: strawberries, a bowl of: peas, a pot of: beans, a bag of: popcorn, a bowl of: pudding,
a bunch of: grapes, a slice of: melon, a basket of: mushrooms, a bag of: raisins,
a plate of: waffles, a box of: muffins, a sack of: turnips, a pot of: plum jam, a bowl of: salad,
a bag of: chestnuts / a plate of: dumplings, a bowl of: custard, a jar of: marmalade,
a basket of: blackberries, a slice of: lemon cake, a bag of: sunflower seeds""",
    "wish": """see the sea, fly, learn to read, learn to dance, sing in the choir, touch the moon,
ride on a train, sail a boat, climb the highest hill, bake a cake, play the drum, meet the king,
win a race, find gold, sleep until noon, catch a star, build a raft, visit the city, learn to swim,
skate on the ice, give a party, ring the church bell, go to school, paint a picture,
live in a castle, dance with the queen, drive a bus, plant a tree, count to a hundred, learn to juggle,
write a letter, ride a bicycle, join the circus, open a shop, walk on stilts
/ see a rainbow, be a knight, swing over the river, play chess, hear the whales sing, row a boat,
tell jokes""",
    "fear": """thunder, the dark, ghosts, deep water, lightning, big dogs, loud bells, high bridges,
the wind, spiders, snakes, wolves, strangers, fire, narrow tunnels, bees, trains, storms, shadows,
empty rooms, rats, monsters, giants, fog, steep stairs
/ mirrors, roosters, echoes, the deep woods, falling""",
    "wears": """blue hat, red scarf, green coat, yellow boots, woolly socks, straw hat, paper crown,
spotted apron, striped jacket, tall hat, round glasses, purple cape, torn cloak, golden crown,
leather belt, lace collar, brown boots, patched coat, silk ribbon, velvet vest, white gloves,
wooden shoes, red mittens, flowered bonnet, long scarf
/ bow tie, tin helmet, warm shawl, checked shirt, orange slippers""",
    "finds": """silver key, old map, gold coin, glass marble, tin whistle, lost letter, broken kite,
blue feather, wooden spoon, pocket watch, shiny button, magic bean, green bottle, little boat,
copper bell, paper lantern, torn book, red balloon, smooth pebble, brass lamp, music box, toy train,
striped egg, pearl ring, ball of string / rusty anchor, cracked cup, lucky penny, jar of buttons,
sea shell, painted drum""",
    "time": """spring, summer, autumn, winter, Monday, Tuesday, Wednesday, Thursday, Friday, Saturday,
Sunday, frosty morning, rainy night, windy day, summer evening, market day, foggy morning,
snowy night, winter evening, sunny afternoon / holiday, misty evening, stormy night, hot afternoon""",
}

STRUCTURES = """
Once there was {a nature} {animal} (called|named) {name}, who lived {at place}[ and ate nothing but {food}].
{name} the {animal} lived {at place} with {his} best friend, the {friend}. [They both loved {food}.]
{at place}, no one was as {nature} as {name} the {animal}. Only the {friend} knew that {he} wished to {wish}.
One {time}, {name} the {animal} found {a finds} {at place}. {he} ran to show it to the {friend}.
"I wish I could {wish}!" said {name} the {animal}. The {friend} only laughed and gave {him} some {food}.
"Who has eaten my {food}?" cried {name} the {animal}. It was the {friend}, of course, asleep {at place}.
{name} put on {his} {wears} and walked {to place}, for the {friend} had promised {him} {serving food}.
All that {name} the {animal} wanted was to {wish}[, but {he} was afraid of {fear}].
Nobody {at place} knew that {name} the {animal} was afraid of {fear}. [Only the {friend} had guessed it.]
Because {he} was afraid of {fear}, {name} the {animal} never went {to place}[ without the {friend}].
Every {time}, {name} the {animal} and the {friend} met {at place} to share {serving food}.
The {friend} found {name} the {animal} {at place}, fast asleep in {his} {wears}.
If you go {to place}, you may meet {a animal} in {a wears}. That is {name}, and {he} will ask you for {food}.
Long ago, {at place}, there lived {a animal} by the name of {name}. {he} was {nature} and wore {a wears} wherever {he} went.
{name} was only {a animal}, but {he} dreamed of one thing: to {wish}. [Every {time} {he} told the {friend} about it.]
It happened one {time}: {name} the {animal} looked up from {his} {food} and saw {a finds} {at place}.
"Will you come with me {to place}?" {name} the {animal} asked the {friend}. "I will bring the {food}."
The {friend} gave {name} {a finds}, and because {he} was {a nature} {animal}, {he} hid it {at place}.
When {name} the {animal} lost {his} {wears}, {he} cried until the {friend} brought {him} {serving food}.
Poor {name}! {he} was {a nature} {animal}, and somebody had eaten all the {food} {at place}.
Have you heard of {name}, the {animal} who wanted to {wish}? {he} left home one {time} with {a finds} and some {food}.
{name} the {animal} was so fond of {food} that {he} forgot {his} fear of {fear}[ and ran straight {to place}].
In {his} {wears}, {name} looked very fine indeed. "What {a nature} {animal}!" said the {friend}.
Under {his} bed {at place}, {name} the {animal} kept {a finds}. [It had been a gift from the {friend}.]
There is {a finds} hidden {at place}, and only {name} the {animal} knows where. [{he} put it there one {time}.]
One {time}, the {friend} asked {name} what {he} wanted most. "To {wish}," said the {nature} {animal}.
{name} the {animal} and the {friend} did everything together. If one ate {food}, the other did too[, every single {time}].
Not far from the {place} lived {a animal} named {name}. {he} had {a wears} and a great love of {food}.
{name} was such {a nature} {animal} that even the {friend} had to smile[ when {he} tried to {wish}].
Whenever the bell rang {at place}, {name} the {animal} put on {his} {wears} and (asked for|went to find|dreamed of) {food}.
"I am not afraid of {fear}," said {name} the {animal}, but {his} knees shook. [The {friend} stayed close beside {him}.]
{name} the {animal} shared {his} {food} with the {friend}, and the {friend} promised to help {him} {wish}.
What did {name} the {animal} do when {he} lost {his} {wears}? {he} sat down {at place} and ate {food}.
One {time}, a letter came for {name} the {animal}. "Come {to place}," wrote the {friend}, "and bring some {food}."
Before anyone else was awake, {name} crept {to place} to look for {food}. {he} was {a nature} {animal}[ and feared only {fear}].
{name} had never met {a friend}, and the {friend} had never met {a animal}. They shared {serving food} {at place}, and that was how it began.
Two friends lived {at place}. One was {name} the {animal}, who loved {food}, and the other was {a friend}.
Everybody said that {a animal} could never {wish}, but {name} did not listen[, and neither did the {friend}].
The {time} when {name} the {animal} found {a finds} was the {time} when {he} stopped being afraid of {fear}.
Wearing {a wears}, {name} the {animal} carried {serving food} {to place}, where the {friend} was waiting.
Nothing made {name} so happy as {food}, and nothing frightened {him} so much as {fear}. {he} was {a nature} {animal}.
The {friend} told everyone {at place} a secret: {name} the {animal} hoped to {wish}.
By the end of that {time}, {name} the {animal} had eaten all the {food} {at place}[, and the {friend} had none].
{name} the {animal} traded {his} {wears} for {a finds}. "You will be sorry," said the {friend}.
Listen to the tale of {name}, {a nature} {animal} who wanted to {wish} and ended up {at place} with {a friend}.
{at place} there was {a finds}, and {name} the {animal} wanted it more than all the {food} in the world.
People called {him} {nature}, but {name} was just {a animal} who missed {his} friend, the {friend}.
On the way {to place}, {name} the {animal} met a weeping {friend} and gave away all {his} {food}.
{name}, {a nature} {animal}, counted the days until {he} could {wish}. [The {friend} counted with {him}.]
How lucky {name} the {animal} was! {he} had {food} for supper, {a wears} to wear, and {a friend} for company.
The wind blew off the {wears} that {name} wore, and the {nature} {animal} chased after, all the way {to place}.
{name} the {animal} had only one fault: {he} could not stop eating {food}. [The {friend} had to hide every crumb.]
At last, one {time}, {name} the {animal} was able to {wish}. [The {friend} clapped and clapped.]
"Has anyone seen {a finds}?" {name} the {animal} asked everyone {at place}. [Only the {friend} looked away.]
You would not think that {a animal} needs {a wears}, but {name} would not go {to place} in anything else.
Over {serving food}, {name} the {animal} told the {friend} about the {finds} hidden {at place}.
{name} was born {at place} one {time}. {he} grew into {a nature} {animal} who loved {food} more than anything.
Night after night {name} the {animal} lay awake {at place} and thought of {fear}. [Only {food} helped.]
One {time}, {name} packed {a finds} and {his} {wears}. The {animal} was going to {wish}.
Nobody believed {name} when {he} said that {a friend} had given {him} {a finds}. "What {a nature} {animal}!" they cried.
The {friend} and the {animal} lived side by side {at place}. The {animal} was (called|named) {name}, and {he} always had {food} to spare.
{to place} came {name}, {a nature} {animal} in {a wears}[, asking for {food}].
Sometimes {name} the {animal} sat {at place} and wished with all {his} heart to {wish}. [Then the {friend} came by with {food}.]
"Wait for me!" called {name} the {animal}, running {to place} in {his} {wears}. [But the {friend} had already eaten the {food}.]
{name} was {a nature} {animal}. One {time}, {he} went out to {wish} and came home with {a finds}.
No {animal} ever loved {food} the way {name} did. [The {friend} {at place} cooked some for {him} every day.]
This is the story of how {name} the {animal} lost {his} fear of {fear}. It began one {time} {at place}.
"Is it true that you are afraid of {fear}?" asked the {friend}. {name} the {animal} hid {his} face in {his} {wears}.
Out of the {wears} that {name} the {animal} had left {at place} fell {a finds}.
As long as {he} could find {food} {at place}, {name} stayed there. {he} was {a animal}, after all, and {a nature} one.
""".strip().splitlines()

SWIMMERS = {"otter", "duck", "goose", "frog", "beaver", "swan", "penguin", "turtle", "toad"}
FLYERS = {
    "duck",
    "goose",
    "crow",
    "owl",
    "robin",
    "bee",
    "bat",
    "swan",
    "stork",
    "magpie",
    "beetle",
}
Value = tuple[str, str]  # how it is used, the value itself


def entries(text: str) -> tuple[list[Value], list[Value]]:
    """The values of a list: those of every split, and those of the test split only."""
    halves = text.replace("\n", " ").split(" / ")
    both = [[part.strip() for part in half.split(",") if part.strip()] for half in halves]
    seen, unseen = (
        [(use.strip(), value.strip()) for use, _, value in (v.rpartition(":") for v in half)]
        for half in both
    )
    return seen, unseen


LEXICON = {key: entries(text) for key, text in LISTS.items()}
LEXICON["friend"] = LEXICON["animal"]
LEXICON["name"] = tuple(
    [(pronoun, name) for pronoun, half in (("he", boys), ("she", girls)) for name in half.split()]
    for boys, girls in zip(BOYS.split("/"), GIRLS.split("/"), strict=True)
)
PRONOUNS = {"he": ("he", "him", "his"), "she": ("she", "her", "her")}


def pick(rng: random.Random, items: list):
    """One of the items. (`rng.choice` may change between versions of Python, this may not.)"""
    return items[int(rng.random() * len(items))]


def shuffled(rng: random.Random, items: list) -> list:
    return [item for _, item in sorted([(rng.random(), item) for item in items])]


def article(phrase: str) -> str:
    """The phrase with a or an before it: "owl" -> "an owl"."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def clash(facts: dict[str, Value]) -> bool:
    """Whether two values do not go together: the same word twice, or against all sense."""
    stems: dict[str, str] = {}
    for key, (_, value) in facts.items():
        for word in value.lower().split():
            if len(word) > 2 and word != "the" and stems.setdefault(word[:3], key) != key:
                return True
    value = {key: entry[1] for key, entry in facts.items()}
    animal, wish, fear = value.get("animal"), value.get("wish"), value.get("fear")
    return (
        (wish == "learn to swim" and animal in SWIMMERS)
        or (wish == "fly" and animal in FLYERS)
        or (fear == "deep water" and animal in SWIMMERS)
        or (fear == "the dark" and animal in ("owl", "bat", "mole"))
        or (fear is not None and value.get("nature") in ("brave", "bold"))
    )


def expand(rng: random.Random, structure: str) -> str:
    """Decides every `[perhaps]` and `(one|of)`."""
    text = re.sub(r"\[(.*?)\]", lambda m: m[1] if rng.random() < 0.5 else "", structure)
    return re.sub(r"\(([^()]*\|[^()]*)\)", lambda m: pick(rng, m[1].split("|")), text).strip()


def fill(text: str, facts: dict[str, Value]) -> str:
    """The sentences with their values in place."""
    he, him, his = PRONOUNS[facts["name"][0]]

    def put(match: re.Match) -> str:
        form, _, key = match[1].rpartition(" ")
        if key in ("he", "him", "his"):
            return {"he": he, "him": him, "his": his}[key]
        use, value = facts[key]
        if form == "a":
            pair = key == "wears" and value.endswith("s")  # "yellow boots"
            return value if pair else article(value)
        if form in ("at", "to"):
            return f"{use if form == 'at' else 'to'} the {value}"
        return f"{use} {value}" if form == "serving" else value

    text = re.sub(r"\{(.*?)\}", put, text)
    # A sentence begins at the start, or after . ! ? and a space (but not after the mark of speech).
    return re.sub(r"(?:^|(?<=[.!?] ))[a-z]", lambda m: m[0].upper(), text)


def grams(text: str, length: int = 3) -> set[tuple[str, ...]]:
    """The runs of three words of a text."""
    words = re.findall(r"[a-z]+", text.lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def rows(seed: int = SEED) -> Iterator[tuple[str, dict[str, str]]]:
    """All rows, as (split, row), the structures taking turns."""
    rng = random.Random(seed)
    taken: list[set] = []
    turn: list[str] = []
    for split, size in SIZES.items():
        made = 0
        while made < size:
            turn = turn or shuffled(rng, STRUCTURES)
            text = expand(rng, turn[-1])
            keys = list(dict.fromkeys(k.split()[-1] for k in re.findall(r"\{(.*?)\}", text)))
            facts = {}
            for key in keys:
                if key in LEXICON:
                    unseen = split == "test" and rng.random() < UNSEEN
                    facts[key] = pick(rng, LEXICON[key][unseen])
            if not 3 <= len(facts) <= 6 or clash(facts):
                continue
            target = fill(text, facts)
            own = grams(target)
            if any(len(own & other) > NEAR * len(own | other) for other in taken):
                continue
            turn.pop()
            taken.append(own)
            order = shuffled(rng, list(facts))
            if rng.random() < 0.5:
                order = ["name", *(key for key in order if key != "name")]
            source = " | ".join(f"{key}: {facts[key][1]}" for key in order)
            made += 1
            yield split, {"source": source, "target": target}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[1] / "data" / "tasks" / "tables"
    parser.add_argument("--folder", type=Path, default=default)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    texts = dict.fromkeys(SIZES, "")
    for split, row in rows():
        texts[split] += json.dumps(row) + "\n"
    for split, text in texts.items():
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8", newline="\n")
        print(f"{folder / split}.jsonl: {text.count(chr(10))} rows")


if __name__ == "__main__":
    main()
