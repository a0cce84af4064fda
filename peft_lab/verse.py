"""Rhyme and syllables from spelling alone: a rule that can be read, no dictionary.

The rule. A word is spelled out in sounds, left to right, by the first grapheme in `GRAPHEMES` that
fits (silent e, "igh", "eigh", "dge", ...); endings (-s, -ed, -ing, -ly, -ful, -less, -ness) are
taken off first, and the words that English spells against its habits have a row in `IRREGULAR`.
Two words rhyme if they agree from the vowel of their last strong syllable on and are not the same
word. The last syllable is strong unless it is one of the weak endings of a longer word
(`WEAK`: -er, -y, -le, -en, ...): then the vowel before it counts, as in *feather, leather*.
The vowels of *cot* and *caught* are one, as in much of America; *fire* rhymes with *higher*.
How often the rule is right is measured in tests/test_verse.py against a pronouncing dictionary.
"""

import re
from functools import lru_cache

# Vowels are upper case, consonants lower case; "/" divides two readings of one spelling.
IRREGULAR_TEXT = """
AH n: one, done, none, son, won, ton, month; AH m: come, some, become; AH v: love, dove, above, glove, of, shove
UW: do, to, two, too, who, shoe, you, through, threw, into, onto, lose, canoe; UW z: whose, lose; UW v: move, prove
EH d: said, bread, head, dead, read, thread, instead, spread, ahead, dread, lead, tread, bed; EH z: says
EH n/IH n: been; EH n/EY n: again; AE v: have; IH v/AY v: live; IH v: give; AO n: gone, upon; EH n: men
AH z: was, does, because; AR: are; ER: were; AIR: there, where, their, bear, pear, wear, swear, anywhere, chair
AIR/EER: tear; EER: here; AY: eye, buy, guy; OR: door, floor, poor, four, pour, your, drawer, war, for, nor, or
AW ER: our, hour, flour, sour; UH d: could, would, should, good, wood, stood, hood, understood; UH t: foot, put
UH l: full, pull, bull, wool; UH sh: push, bush; AH d: blood, flood, mud; EY k: break, steak; EY t: great
EH t: threat, sweat, let; AW: now, cow, how, brow, plow, plough, wow, vow, allow, meow, eyebrow; OW: though, dough
AW/OW: bow, row, sow; OW n: own, grown, shown, known, blown, thrown, flown; AH f: rough, tough, enough
AO f: cough, off; AE f: laugh, half, calf; IY: key, ski, he, me, we, she, be, the, three; AY m: climb, time
OW l: bowl, roll, poll, toll, scroll, stroll, soul; OW k: folk; OW st: most, ghost, post, host; OW z: clothes
AY ld: child, wild, mild; AY nd/IH nd: wind; EH nd: friend; AH ng: young; AH p: up, cup; AY ER: choir
ER th: earth; ER n: learn; ER d: heard, word, bird; ER ch: search; AR t: heart; ER l: pearl; AY d: eyed
UW t: suit, fruit; UW s: juice, loose, goose, moose; UW p: soup, group; AY t: height; AO t: caught, taught
IY z: please, cheese, these, breeze, sneeze, freeze, ease, tease; OW: go, no, so, ago, toe; AH ch: much, touch, such
AO k: talk, walk, chalk; OW b: comb; UW m: tomb, whom, womb; AE m: am; AE: baa; IY p l: people; AW t: doubt
AH n IY: honey, money, funny; AH dh ER: other, mother, brother, another, smother; EH dh ER: feather, leather
AA dh ER: father, bother; W AO t ER: water; EH r IY: very, bury; IH t IY: pretty; IH z IY: busy; EH n IY: any, many
EH v ER: ever, never, clever; IY v AH n IH ng: evening; L IH t UL: little; AH n UN: onion; EH m UN: lemon
"""
VOICELESS = ("p", "t", "k", "f", "th")
HISSING = ("s", "z", "sh", "ch", "j")
