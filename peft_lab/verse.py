"""Rhyme and syllables from spelling alone: a rule that can be read, and no dictionary file.

A word is turned into rough sounds: the endings -s, -ed and -ing come off, then the first line of
`GRAPHEMES` that fits is taken, again and again, from left to right. Words that English spells
against its habits are respelled first (`RESPELLED`: said = sed). Then

- two different words rhyme if they sound alike from the vowel of their last strong syllable on;
- the last syllable is strong, unless it is a weak ending of a longer word (-er, -y, -le, -en, -ing
  and their like): then the syllable before it counts, as in *feather, leather*;
- the vowels of *cot* and *caught* count as one, as in much of America;
- a word that is read in two ways (*bow*, *tear*) may rhyme in either.

It is a rule of thumb, and errs: tests/test_verse.py measures how often, against a pronouncing
dictionary. It knows nothing of metre.
"""

import re
from functools import lru_cache

# word=respelling, or two of them where the word is read in two ways. "-" stands before the stressed
# syllable where the rule would miss it.
RESPELLED = """
above=abuvv afar=a-far again=agen,agane allow=alou already=alreddy although=altho another=anuther
any=enny anyone=enny-wun anything=enny-thing anywhere=enny-wair are=ar as=azz aunt=ant bead=beed
bear=bair because=bekuz become=bekum been=bin began=be-gann blood=blud blown=bloan body=boddy
both=boath bow=bou,bo bowl=bole break=brake breath=breth brother=bruther brow=brou bull=buull
bury=berry bush=buush busy=bizzy buy=bie calf=caff canoe=ka-noo chocolate=choclet choir=kwire
choose=chooze city=sitty climb=clime clothes=cloze coffee=coffy colour=culler comb=coam come=kum
confess=con-fess copy=coppy cough=coff could=cuud country=kuntry cousin=kuzzin cover=cuvver cow=cou
death=deth discover=discuvver do=doo does=duz doll=dol done=dun double=dubble dough=doe dove=duvv
dozen=duzzen drawer=dror enough=enuff every=evry everyone=evry-wun everything=evry-thing
everywhere=evry-wair eye=ie eyebrow=ie-brou father=fother flood=flud flour=flower flown=floan
foot=fuut four=for friend=frend front=frunt full=fuull garage=ga-rozh ghost=goast give=givv
glove=gluvv gone=gawn good=guud great=grate group=groop grown=groan guitar=gi-tar guy=gie half=haff
has=hazz have=havv heard=herd heart=hart heavens=hevvens height=hite hello=hel-lo his=hizz
honey=hunny hood=huud host=hoast hour=ower hover=huvver how=hou idea=i-deea into=in-too iron=iern
is=izz key=kee known=noan laugh=laff lead=leed,led lily=lilly live=livv,lyve lose=looze love=luvv
lover=luvver machine=ma-sheen many=menny marie=ma-ree maybe=maybee meow=meou minute=minnit
money=munny monkey=munky month=munth most=moast mother=muther move=moov nearby=neer-bie none=nun
nothing=nuthing now=nou nowhere=no-wair obey=o-bay ocean=oashan of=uvv once=wunss one=wun
onion=unyun only=oanly onto=on-too other=uther our=ower oven=uvven own=oan pear=pair people=peeple
piano=pee-ano pity=pitty plough=plou plow=plou poem=poam post=poast pour=por pretty=pritty
prove=proov pull=puull push=puush put=puut quiver=quivver radio=radi-o read=reed,red ready=reddy
reply=re-plie river=rivver riverbed=river-bed rough=ruff row=ro,rou said=sed says=sez search=serch
shall=shal shiver=shivver shoe=shoo should=shuud shovel=shuvvel shown=shoan ski=skee smother=smuther
some=sum someone=sum-wun somewhere=sum-wair son=sun soul=sole soup=soop sow=so,sou steak=stake
stood=stuud sugar=shuugar suppose=sup-poze sure=shor swear=swair sweat=swet sword=sord
tear=tair,teer their=thair there=thair though=tho threat=thret through=throo thrown=throan
tiptoe=tip-toe to=too tomb=toom ton=tun tongue=tung touch=tuch tough=tuff towel=towl,towel
trouble=trubble truth=trooth two=too understood=under-stuud until=un-til unto=un-too very=verry
violin=vio-lin vow=vou was=wuz wear=wair were=wer where=wair who=hoo whom=hoom whose=hooze
wind=winnd,wind woman=wuuman womb=woom won=wun wood=wuud wool=wuul would=wuud wow=wou yes=yess
you=yoo young=yung your=yor youth=yooth
"""

# Spelling and its sounds, vowels in capitals; the first that fits is taken. "^" and "$" stand for
# the ends of the word, "C" for one consonant as it is written. "AY?IY" is AY if it is the first
# vowel of the word (sky), else IY (funny); "-" is silent, "+" marks stress.
GRAPHEMES = r"""
tch=ch dg(?=e)=j ck=k ph=f sh=sh sch=s,k ch=ch th=th wh=w ^kn=n ^wr=r ^gn=n gn(?=e?$)=n m[bn]$=m
ngue$=ng gue$=g gu(?=[aei])=g que$=k qu=k,w x=k,s nk=ng,k ng$=ng ng(?=th$)=ng tion=sh,AX,n
shion=sh,AX,n eon$=AX,n sion=zh,AX,n ture$=ch,ER ious$=y,AX,s ous$=AX,s cial=sh,AX,l aigh=EY eigh=EY
igh=AY augh(?=t)=AO ough(?=t)=AO al(?=k)=AO a(?=l[dlt])=AO a(?=lm)=AA ol(?=k)=OW o(?=l[dt]|ll$)=OW
i(?=[nl]d$|gne?$)=AY wor(?=[dklmst])=w,ER war=w,OR wa(?=[nts])=w,AA aire?=AIR are$=AIR
ear(?=[nlt])=ER ear=EER eer=EER ere$=EER [iy]re$=AY,ER fly$=f,l,AY an$=AE?AX,n (?<=t)ain$=EY?AX,n
oore?=OR oar=OR ore$=OR our(?=n|t|se)=OR ure$=UH,r [eiu]rr$=ER a(?=rr)=AE e(?=rr)=EH o(?=rr)=AA
i(?=rr)=IH ar$=AR?ER or$=OR?ER ar=AR er=ER ir=ER ur=ER yr=ER or=OR ea(?=d$|lth|vy|ven|ther|nt$)=EH
ea=IY ee$=+,IY ee=IY oo(?=k)=UH ouse$=AW,s oose$=UW,s oo=UW ou=AW ow(?=le?$|el|er|n|d)=AW ow=OW
iew=UW oa=OW oe$=OW oi=OY oy=OY au=AO aw=AO ew=UW ue$=UW uu=UH ui=UW ai=EY ay=EY ey$=EY?IY ei=IY
i(?=a|o|ets?$)=AY?IY ie$=AY?IY ie=IY (?<![aeiouylrw])le$=AX,l iage$=IH,j a(?=ge$)=EY?IH
a(?=Ce$|ste$|nge$)=EY e(?=Ce$)=IY [iy](?=Ce$)=AY o(?=Ce$)=OW u(?=Ce$)=UW a(?=C(?:er|y|le|o)$)=EY
i(?=C(?:er|y|le)$)=AY o(?=C(?:er|y|le|en)$)=OW u(?=C(?:er|y|le)$)=UW
e(?=(?:ly|ty|ful|less|ness|ment|thing|where|body|boat|work|way)s?$)=- ye$=AY e$=IY?- y$=AY?IY o$=OW
u$=UW i$=AY?IY a$=AX ^y=y y(?=[aeou])=y a=AE e=EH i=IH o=AA u=AH y=IH (?<=[aeiou][aeiou])se$=z
(?<=a)se$=s (?<=[aeiou])se$=z c(?=[eiy])=s g(?=e$|y$|i)=j -=+ bb=b cc=k dd=d ff=f gg=g jj=j ll=l
mm=m nn=n pp=p rr=r ss=s tt=t vv=v zz=z c=k
"""
_C = "(?:th|ch|sh|gu|qu|[bcdfgjklmnpqrstvz])"
_PAIRS = [item.rpartition("=") for item in GRAPHEMES.split()]
_SOUNDS = [sounds.split(",") for _, _, sounds in _PAIRS]
_SPELLING = re.compile(
    "|".join(f"({p.replace('C', _C).replace('^', '(?<![a-z])')})" for p, _, _ in _PAIRS) + "|."
)
_READINGS = {
    word: tuple(read.split(","))
    for word, _, read in (item.partition("=") for item in RESPELLED.split())
}
# In a longer word these last syllables are weak ...
_WEAK = re.compile(
    r"((ER|IY|OW|AX \w|AX)|[EA]H ([ntls]|s t)|IH ([ntlszdjk]|ng|sh)|AA n|AE n t|A[EO] l)( [zsdt])?"
)
# ... unless the word has two syllables and the first looks like a prefix (again, below, upset).
_PREFIX = re.compile(r"(a|be|de|re|up|for(?=[bg])|to(?=[dgmn]))(?!(.)\2)[^aeiou]+[aeiouy]")
_VOICELESS, _HISSING = {"p", "t", "k", "f", "th"}, {"s", "z", "sh", "ch", "j", "zh"}


def rhymes(a: str, b: str) -> bool:
    """Whether two words rhyme; a word does not rhyme with itself. Case does not count."""
    (a, rimes_of_a), (b, rimes_of_b) = _heard(a), _heard(b)
    return a != b and not rimes_of_a.isdisjoint(rimes_of_b)


def syllables(word: str) -> int:
    """The number of syllables, at least 1 (0 if there is no letter)."""
    word = _clean(word)
    return max(1, len(_vowels(_sounds(word)[0]))) if word else 0


def rhyme_scheme(lines: list[str]) -> str:
    """One letter a line, e.g. "AABB": the same where last words rhyme (or are the same word)."""
    last = [_clean((re.findall(r"[A-Za-z'’]+", line) or [""])[-1]) for line in lines]
    scheme = ""
    for i, word in enumerate(last):
        partner = next((j for j in range(i) if last[j] == word or rhymes(last[j], word)), None)
        scheme += chr(ord("A") + len(set(scheme))) if partner is None else scheme[partner]
    return scheme


def _clean(word: str) -> str:
    word = re.sub(r"[^a-z']", "", word.lower().replace("’", "'")).strip("'")
    return re.sub(r"(?<!s)'s$", "s", word).replace("'", "")


def _vowels(sounds: list[str]) -> list[int]:
    return [i for i, sound in enumerate(sounds) if sound.isupper()]


@lru_cache(maxsize=20_000)
def _sounds(word: str) -> tuple[list[str], ...]:
    """The readings of a word, each a list of sounds."""
    if word in _READINGS:
        return tuple(_scan(read) for read in _READINGS[word])
    if re.fullmatch(r".*[aeiouy].*(?<![su])(?<!.i)s|.*ies", word):
        stem, ending = re.sub(r"(?<=sh|ch)e$", "", word[:-1]), "s"
    elif re.fullmatch(r".*[aeiouy].*(?<!e)(?<![bdf]r)ed", word):
        bare = re.search(r"(sh|ch|x|w|y|er|en|el|(.)\2)ed$", word)  # wish-ed, but hope-d
        stem, ending = word[:-2] if bare else word[:-1], "ed"
    elif re.fullmatch(r".*[aeiouy].*ing", word):
        single = re.search(r"(?<![aeiou])[aiou][bcdfgklmnpstvz]ing$", word)
        stem, ending = word[:-3] + "e" * bool(single), "ing"  # hop(e)-ing, but hopp-ing
    else:
        return (_scan(word),)
    return tuple([*sounds, *_ending(ending, sounds[-1])] for sounds in _sounds(stem))


def _ending(ending: str, before: str) -> list[str]:
    """The sounds of -s, -ed or -ing after the sound `before`: cat-s, dog-s, horse-s."""
    if ending == "s":
        return ["IH", "z"] if before in _HISSING else ["s" if before in _VOICELESS else "z"]
    if ending == "ed":
        voiceless = before in _VOICELESS | {"s", "sh", "ch"}
        return ["IH", "d"] if before in ("t", "d") else ["t" if voiceless else "d"]
    return ["IH", "ng"]


def _scan(word: str) -> list[str]:
    """The sounds of a word without endings."""
    sounds: list[str] = []
    place = 0
    while place < len(word):
        match = _SPELLING.match(word, place)
        for sound in _SOUNDS[match.lastindex - 1] if match.lastindex else match[0]:
            first, _, later = sound.partition("?")
            sound = later if later and _vowels(sounds) else first
            if sound != "-":
                sounds.append(sound)
        place = match.end()
    return sounds


@lru_cache(maxsize=20_000)
def _heard(word: str) -> tuple[str, frozenset[str]]:
    """The bare word, and what another must share to rhyme with it, one for each reading."""
    word = _clean(word)
    return word, frozenset(_rime(word, sounds) for sounds in _sounds(word))


def _rime(word: str, sounds: list[str]) -> str:
    vowels = _vowels(sounds)
    start = vowels[-1] if vowels else 0
    weak = _WEAK.fullmatch(" ".join(sounds[start:])) if len(vowels) > 1 else None
    if weak and len(vowels) == 2 and not re.match("ER|IY|IH ng", weak[0]) and _PREFIX.match(word):
        weak = None
    if weak and "+" not in sounds:
        if sounds[start] not in ("ER", "IY", "OW"):
            sounds = [*sounds[:start], "AX", *sounds[start + 1 :]]  # unstressed, they are alike
        start = vowels[-2]
        if sounds[start] in ("ER", "AX") and len(vowels) > 2:  # shiv-er-ing
            start = vowels[-3]
    return " ".join(sounds[start:]).replace("AO", "AA")
