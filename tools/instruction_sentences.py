"""The hand-written part of data/tasks/instructions: wordings and sentences, each with its answers.

Marks in a sentence, taken out by tools/make_instructions.py:
`[goat]` who it is about, `(under the bridge)` where it happens, `{sits|sat}` a verb and its past
(`{is}`, `{are}`, `{can}` stand for {is|was}, {are|were}, {can|could}), `<big|small>` the describing
word and its opposite. A colour is found by its name. What has no mark is not asked for.
"""

# ruff: noqa: E501 -- a sentence stands on one line, however long

COLOURS = ("black", "blue", "brown", "green", "pink", "red", "white", "yellow")

# Of each family: four wordings that are trained, then two that only the test has. Of the last two
# families the training split has no row, so all six wordings are new there.
TRAINED = {
    "feeling": [
        "What is the feeling in the story?",
        "Happy, sad, afraid or angry?",
        "Name the feeling.",
        "Tell me the feeling in one word.",
        "Say what feeling this is.",
        "Is this happy or sad, angry or afraid?",
    ],
    "time": [
        "Is it day or night?",
        "Day or night?",
        "Tell me if it is day or night.",
        "When does it happen, by day or by night?",
        "Say when it is, day or night.",
        "Is the sun up or not? Answer day or night.",
    ],
    "who": [
        "Who is in the story?",
        "Name the one who is in it.",
        "Which animal or person is it about?",
        "Tell me who you see here.",
        "Who is this about?",
        "Find the animal or the person.",
    ],
    "colour": [
        "What colour is in the story?",
        "Name the colour.",
        "Which colour do you see here?",
        "Say the colour in one word.",
        "Tell me the colour.",
        "Find the word for a colour.",
    ],
    "past": [
        "Put the story in the past.",
        "Tell it as if it were long ago.",
        "Say that it was yesterday.",
        "Tell it as something that is over.",
        "Say it as if it were over long ago.",
        "Make it something that happened before.",
    ],
    "opposite": [
        "Say the opposite.",
        "Turn one word into its opposite.",
        "Tell it with the opposite word.",
        "Put the opposite in the story.",
        "Put in the opposite of one word.",
        "Say it the other way round.",
    ],
}
HELD_OUT = {
    "where": [
        "Where does it happen?",
        "Name the place.",
        "Tell me where it is.",
        "Say the place in the story.",
        "Which place do you see here?",
        "Where is this?",
    ],
    "question": [
        "Turn it into a question.",
        "Put the story as a question.",
        "Say it as a question.",
        "Make it a question.",
        "Tell it as if you were asking.",
        "Ask if it is so.",
    ],
}

# Beside those in square brackets: a sentence with two is not asked who is in it.
ALSO_ALIVE = """
butterflies class crowd everyone fish flies foal friend hawk master mate neighbour rats sick snake
tiger toys wife wolves worms
""".strip()

FEELINGS = {
    "happy": """
The [lamb] {is} skipping (across the meadow) and singing a song.
(In the kitchen) the [cook] {hums|hummed} a tune over her cake.
A <small|big> [bear] {is} clapping his paws (by the river).
The [dog] {is} wagging his tail (at the garden gate).
My [sister] {is} dancing (in the hall) in her blue shoes.
The [children] {are} laughing and splashing (in the pond).
(On the warm wall) a black [cat] {purrs|purred} and {stretches|stretched}.
The <old|young> [sailor] {is} whistling (on the deck), for the trip {is} over.
Our [teacher] {is} smiling (in the doorway) with a prize in her hand.
The [squirrel] {has|had} more nuts than ever, and {hops|hopped} (round the tree).
A [frog] {is} singing at the top of his voice (on a green leaf).
The [baby] {is} giggling (in the bath) and {cannot|could not} stop.
(At the fair) the [boy] {cheers|cheered}, for he {can} ride the white horse.
The <rich|poor> [king] {is} humming and dancing (in his garden).
The [piglets] {are} rolling and squealing with delight (in the mud).
The [miller] {is} throwing his hat in the air (beside the mill).
A [robin] {is} singing merrily (on the chimney).
The [puppy] {is} licking every hand (in the house) and wagging its tail.
My [grandmother] {is} beaming (at the table), and her eyes {shine|shone}.
(Under the apple tree) the [girl] {hugs|hugged} her doll and {laughs|laughed}.
The <strong|weak> [giant] {is} grinning from ear to ear (on the hill).
The [goat] {is} jumping for joy (on the haystack).
An [elephant] {is} blowing bubbles (in the river) and laughing.
The [tailor] {cannot|could not} stop smiling (in his <new|old> shop).
The [penguins] {are} sliding down and cheering (on the ice).
The [princess] {is} spinning round and round in her yellow dress.
(By the fire) the [farmer] {claps|clapped} his hands and {starts|started} to sing.
The <quiet|loud> [mouse] {is} smiling (in her hole), for the cheese {is} hers.
The [clown] {is} chuckling over a letter (in his tent).
A [duck] {is} dancing in the rain with a merry quack.
The [hare] {has|had} won the race and {is} leaping (over the grass).
The [monkey] {is} swinging and whooping (in the treetop).
(In the stable) the brown [pony] {gets|got} a carrot and {kicks|kicked} up her heels.
My [uncle] {is} laughing so hard (on the sofa) that his belly {shakes|shook}.
""",
    "sad": """
The [girl] {is} crying (on the stairs), for her doll {is} lost.
A <small|big> [dog] {is} whining (at the grave) of his master.
The [donkey] {is} hanging his head (in the empty stable).
(In the corner) the [boy] {wipes|wiped} the tears from his eyes.
The <old|young> [bear] {is} sobbing (in his cave), for nobody {comes|came} to see him.
My [brother] {is} weeping (in his room), and his kite {is} broken.
The [widow] {is} sighing (by the window) over a blue letter.
Our [cat] {is} mewing all alone (at the door) and {will|would} not eat.
The [duckling] {cannot|could not} find its mother, and {weeps|wept} (in the reeds).
(On the bench) the <rich|poor> [man] {sits|sat} alone and {sighs|sighed}.
The [snowman] {is} melting (in the yard), and tears {run|ran} down his face.
The [clown] {is} sobbing (behind the tent), and no one {laughs|laughed}.
A [swan] {is} drooping her white neck (on the lake) and calling for her mate.
The [children] {are} in tears (at the station), for the visit {is} over.
The [rabbit] {is} sniffing and sobbing (beside the empty nest).
My [aunt] {has|had} wet eyes, and {sits|sat} silent (at the table).
The [shepherd] {is} mourning his lost lamb (on the hill).
(Under the tree) a [bird] {lies|lay} still with a broken wing and {peeps|peeped} softly.
The [king] {is} weeping (on his throne), for the queen {is} gone.
The <tame|wild> [pony] {is} alone (in the field) and {misses|missed} her foal.
A <strong|weak> [lion] {is} weeping salt tears (in his cage).
The [baker] {is} staring at his burnt loaves (in the bakery) with tears in his eyes.
The [mouse] {is} crying into her red scarf (in the cellar).
The [fisherman] {has|had} lost his boat, and {weeps|wept} (on the beach).
(At the gate) the [girl] {waves|waved} to her friend and {cries|cried}.
The [kitten] {is} lost, and it {cries|cried} (in the dark street).
The [princess] {is} sobbing into a green pillow (in the tower).
The <first|last> [swallow] {is} alone (on the roof), and she {sings|sang} no more.
Our [grandfather] {is} sighing over the picture of his wife (by the fire).
The [hedgehog] {has|had} no friend, and tears {drop|dropped} into his soup.
The <short|tall> [boy] {is} not asked to the party, and {weeps|wept} (in the garden).
An [owl] {is} moaning (in the tree), for her home {is} cut down.
The [doll] {lies|lay} forgotten (in the attic) and {weeps|wept} wax tears.
The [calf] {is} calling and calling for its mother (in the barn).
""",
    "afraid": """
The [rabbit] {is} shaking (in the tall grass), for a fox {is} near.
(Under the bed) the [boy] {holds|held} his breath and {trembles|trembled}.
A <small|big> [mouse] {is} trembling (behind the clock).
The [kitten] {is} hiding (under the sofa) from the thunder.
The [hens] {are} screaming and running (round the yard).
My [sister] {is} pulling the blue blanket over her head (in bed).
The [fawn] {can} hear the wolf, and her knees {shake|shook} (in the ferns).
(On the <high|low> ladder) the [man] {turns|turned} pale and {cannot|could not} move.
The [sheep] {are} huddling together (in the corner of the field).
A <young|old> [sailor] {is} crying for help in the storm.
The [girl] {is} backing away from the snake (on the path).
Our [dog] {is} whimpering (under the table) at each crack of thunder.
The [prince] {is} pale, and his hand {shakes|shook} (at the door of the cave).
The [squirrel] {is} sitting (in the oak), too frightened to move.
The [duck] {dives|dived} with a shriek into the reeds, for a gun {is} loud.
The <brave|cowardly> [knight] {can} hear a roar, and his teeth {chatter|chattered} (in the wood).
(In the attic) the [maid] {sees|saw} a white shape and {screams|screamed}.
The [pony] {is} trembling (on the shaky bridge) and {will|would} not go on.
The [children] {are} creeping past the ghost house (on the hill) hand in hand.
A [piglet] {is} squeaking (in the dark wood), and his heart {beats|beat} fast.
The [baker] {is} running for his life from a bear (along the road).
The [mole] {is} shivering (in his tunnel), for something {is} growling.
My [cousin] {cannot|could not} look down from the tower, and her legs {shake|shook}.
The <weak|strong> [giant] {is} hiding from a spider (in the kitchen).
The [frog] {is} crouching (under a green leaf), for the stork {is} coming.
(In the <deep|shallow> water) the [boy] {gasps|gasped} and {cries|cried} for help.
The [lamb] {is} bleating for help (at the edge of the cliff).
The [tailor] {can} hear a step (on the stairs), and his hair {stands|stood} on end.
The [cat] {is} up (in the tree) with her fur on end, for the dog {is} below.
A [traveller] {is} whispering a prayer (in the robbers' den).
The [monkey] {is} clinging to a branch and shrieking at the tiger (in the jungle).
The [princess] {is} gasping at a black rat (in the cellar).
The <wise|foolish> [goose] {is} shaking (in the sack) of the fox.
The [chick] {is} hiding (under the hen), for a hawk {is} in the sky.
""",
    "angry": """
The [bear] {is} stamping and growling (in front of his empty hive).
(In the kitchen) the [cook] {bangs|banged} the pots and {shouts|shouted}.
A <big|small> [goose] {is} hissing at the postman (by the gate).
The [king] {is} roaring (in the hall), and his face {is} red.
The [cat] {is} spitting and scratching (on the stairs), for her tail {is} hurt.
My [brother] {is} slamming the door of his room and kicking the wall.
The [bull] {is} snorting and stamping (in the meadow).
The <old|young> [witch] {is} shaking her fist (on the roof).
Our [neighbour] {is} yelling over the fence (in his garden).
The [giant] {is} tearing up trees and bellowing (on the hill).
(At the market) the [woman] {calls|called} him a thief and {stamps|stamped} her foot.
The [bees] {are} buzzing wildly and stinging the thief (by the hive).
The [teacher] {is} thumping the desk and shouting (in the school).
A [dwarf] {is} tearing his black beard and cursing (in the cave).
The [dog] {is} snarling and showing his teeth (by the white gate).
The <rich|poor> [farmer] {is} shouting at the crows (in the corn).
The [girl] {is} throwing her books about and yelling (in the nursery).
The [rooster] {is} pecking and scolding (on the dung heap).
(On the bridge) the [troll] {gnashes|gnashed} his teeth and {bellows|bellowed}.
The [captain] {is} swearing and stamping (on the deck).
The [goat] {lowers|lowered} his horns and {snorts|snorted} (at the fence).
The [queen] {is} smashing the yellow plates (in the dining room).
My [aunt] {is} scolding and wagging her finger (at the door).
The [lion] {is} lashing his tail and roaring (in the cage).
The <quick|slow> [monkey] {is} shrieking and pelting the thief (in the tree).
The [baker] {is} shaking his rolling pin at the rat (in the bakery).
The [swan] {is} beating her wings at the boat and hissing (on the lake).
A <loud|quiet> [parrot] {is} screeching and biting the bars (in the parlour).
The [boy] {is} clenching his fists and shouting (in the playground).
The [dragon] {is} spitting green fire at the thief (in the valley).
The [wolf] {growls|growled} and {bares|bared} his teeth (at the trap).
(In the shop) the [tailor] {throws|threw} down his scissors and {yells|yelled}.
The <fat|thin> [miller] {is} kicking the sacks and scolding (in the mill).
The [children] {are} fighting and screaming over a red ball (in the yard).
""",
}

TIMES = {
    "day": """
The [farmer] {is} cutting hay (in the field), and the sun {is} hot.
Bees {are} humming (in the garden), and the [cat] {looks|looked} for shade.
(On the wall) a green [lizard] {lies|lay} in the sunshine.
The [children] {are} eating lunch (under the trees).
A <small|big> [butterfly] {is} resting (on a sunny stone).
The [postman] {is} bringing letters to the cottage.
The [teacher] {is} ringing the bell for the first lesson (in the schoolyard).
My [mother] {is} hanging the white sheets in the sun.
The [baker] {is} selling buns (in the market square).
The sky {is} blue, and a [lark] {is} singing (above the corn).
The [boy] {can} see his own shadow (on the sunny road).
(In the orchard) the [girls] {pick|picked} apples in the bright sun.
The <old|young> [dog] {is} panting in the heat (on the doorstep).
A [rooster] {is} crowing at the sunrise (on the fence).
The [painter] {is} painting the yellow fields (on the hill).
The [shepherd] {is} wearing a hat against the sun (in the meadow).
The [sailors] {are} mending a sail in the sunshine (on the deck).
(At the beach) the [girl] {builds|built} a castle of <wet|dry> sand in the sun.
Our [grandmother] {is} drinking her coffee after breakfast (on the porch).
The [ducks] {are} swimming (on the lake), and the sun {is} bright.
The new shop {is} open, and a [lady] {is} buying ribbons in it.
A [snail] {is} hiding from the sun (under a leaf).
The [swallows] {are} chasing flies (over the sunny pond).
The [boy] {is} flying a red kite (on the windy hill).
The [miller] {is} squinting in the sun (at the door of his mill).
(In the park) the [nurse] {puts|put} up a pink sunshade.
The [bees] {are} busy (in the clover), and the dew {is} gone.
The [carpenter] {is} sawing a <long|short> board (in his sunny yard).
A rainbow {is} shining (over the village), and the sun {is} out.
The [squirrel] {is} gathering nuts in the golden sunlight.
The [king] {is} eating a late breakfast in the sun (on his balcony).
The ice cream of the [girl] {is} melting in the sun (on the bench).
The [bus driver] {is} taking the class to the zoo.
The [hens] {are} scratching for worms in the warm sunshine.
The [gardener] {is} watering the <dry|wet> beans in the heat (behind the house).
(On the roof) a black [cat] {blinks|blinked} in the sun.
The [swimmers] {are} splashing (in the river) and getting sunburnt.
The [cook] {is} buying fish (at the harbour), and the market {is} full.
My [cousin] {can} see far over the land from the tower, for the air {is} bright.
The [cow] {is} grazing (in the meadow) with butterflies round her head.
The [washerwoman] {is} spreading blue shirts in the sun (by the brook).
A [bird] {is} drinking (at the fountain), and the stones {are} hot.
The [mayor] {is} opening the <new|old> school in the sunshine.
The [puppy] {is} chasing its shadow (across the lawn).
(In the classroom) the [children] {read|read} and {write|wrote}, and sunlight {falls|fell} in.
The [fisherman] {is} drying his nets in the sun (on the beach).
The [goats] {are} looking for shade (beside the well).
The sunflowers {are} open, and a [bee] {is} coming into the garden.
The [doctor] {is} visiting the sick after breakfast (in the village).
An [ant] {is} dragging a <heavy|light> crumb from the picnic (over the grass).
The [grasshoppers] {are} singing in the heat (in the hay).
The [girl] {is} picking white daisies in the sun (by the road).
The [tailor] {is} sewing in the sunlight (at the window).
The sun {is} high, and the [donkey] {is} resting (under a palm).
The school {is} out, and the [boys] {are} racing down the street.
The [lizards] {are} warming their bellies in the sun (on the rocks).
The [widow] {is} selling cherries (at the busy market).
The sun {is} shining (on the <deep|shallow> snow).
A [stork] {is} catching frogs in the sunshine (in the marsh).
My [father] {is} mowing the lawn in his straw hat (behind the barn).
The [pigs] {are} lying in the hot sun (in the mud).
The [clown] {is} waving to the crowd in the sun (in front of the town hall).
The [crow] {can} see her shadow (on the bright snow).
(At school) the [twins] {draw|drew} the sun in yellow chalk.
The [turtle] {is} sunning itself (on a <dry|wet> log).
The <strong|weak> [horse] {is} pulling the plough in the heat (in the field).
The [hikers] {are} resting in the shade (by the path).
The [rabbit] {cannot|could not} sleep, for the sunshine {is} bright (in the burrow).
""",
    "night": """
The [owl] {is} hooting (in the dark wood), and the moon {is} up.
In the sky the stars {shine|shone}, and a [wolf] {howls|howled} at them.
The <small|big> [boy] {is} dreaming (in his bed).
The [bats] {are} flying (round the church), and the moon {is} bright.
My [sister] {is} in her pink pyjamas (in bed), and the lamp {is} out.
The [watchman] {is} walking with his lantern (through the dark street).
The [children] {are} fast asleep (in the nursery), and the stars {are} out.
A [hedgehog] {is} looking for worms by moonlight (in the garden).
The <old|young> [fox] {is} creeping by moonlight to the hen house.
The [girl] {can} count the stars from her window.
(In the dark kitchen) a [mouse] {nibbles|nibbled}, and everyone {is} asleep.
The [baker] {is} snoring (in his bed), and the fire {is} out.
A [moth] {is} dancing (round the candle).
The [sailor] {is} steering by the stars (on the <deep|shallow> sea).
The moon {is} shining (on the white snow).
The [cat] {can} see in the dark, and {hunts|hunted} (in the barn).
By candlelight the [tailor] {yawns|yawned} (in his shop) and {sews|sewed}.
The [baby] {is} awake in the dark, and its mother {lights|lit} a candle.
The [fireflies] {are} glowing (over the dark pond).
The [thief] {is} tiptoeing by moonlight (across the roof).
Our [father] {is} telling the last story (by the bed) and {blows|blew} out the lamp.
The [frogs] {are} croaking (at the lake) under the stars.
The [king] {cannot|could not} sleep, and {looks|looked} at the moon from his tower.
A [ghost] {is} floating in the moonlight (on the stairs).
The [lighthouse keeper] {is} lighting the <big|small> lamp in the dark (on the cliff).
The [dog] {is} barking at the moon (in the yard).
The [travellers] {are} sleeping under the stars (in the desert).
(In the stable) the lantern {is} out, and the [cow] {sleeps|slept}.
The moon {is} round, and the [elves] {are} dancing (in the glade).
The [princess] {is} sleeping under a blue quilt (in the tower), and an owl {calls|called}.
The <wild|tame> [deer] {are} drinking in the moonlight (at the brook).
The shops {are} dark, and a [cat] {is} alone (in the street).
The [badger] {is} coming out under the stars (in front of his den).
My [brother] {is} snoring (in the upper bunk) with the light out.
The [doctor] {is} riding by lantern light (through the dark forest).
The hens {are} asleep (in the hen house), and the [fox] {is} awake.
(On the hill) the [shepherd] {counts|counted} the stars.
The stars {are} twinkling (above the <high|low> mountains).
The [nurse] {is} putting out the candles (in the hall), and all {are} asleep.
A <loud|quiet> [owl] {is} calling to the moon (in the pine tree).
The [robbers] {are} sitting round a fire in the dark (in the wood).
The [girl] {is} whispering her prayers (in bed), and the moon {looks|looked} in.
The [miller] {is} asleep, and the rats {are} dancing in the dark (in the mill).
A yellow moon {is} hanging (above the roofs), and a [cat] {sings|sang}.
The [rabbit] {is} nibbling clover by moonlight (in the meadow).
The village {is} asleep, and a [dog] {barks|barked} at a star (on the bridge).
The [grandmother] {is} dreaming (in her bed) with her cap on.
The [captain] {can} see the beam of the lighthouse in the dark from his ship.
The [bear] {is} snoring under the stars (in his den).
The street lamps {are} lit, and a [boy] {is} going home to bed (across the square).
(In the dark attic) the toys {wake|woke} up, and the children {sleep|slept}.
The [goblin] {is} digging for gold by moonlight (under the oak).
The [twins] {are} whispering under the blanket with a torch (in the tent).
A <bright|dull> star {is} shining, and a [donkey] {is} watching it (in the field).
The [hunter] {is} sleeping beside his camp fire (in the snow), and wolves {howl|howled}.
The [witch] {is} flying past the moon (over the town).
The [mother] {is} singing her baby to sleep by candlelight (in the cottage).
The <rich|poor> [miser] {is} counting gold by candlelight (in his cellar).
The [frog] {is} looking at the moon (in the black water).
The snow {is} blue in the moonlight (on the roof).
The [mole] {can} feel no sun, for the stars {are} out (over the lawn).
The [swans] {are} sleeping under the moon (on the still lake).
My [doll] {is} sleeping too (on my pillow), and the lamp {is} out.
The [prince] {is} climbing to the window by starlight (at the castle).
The [crickets] {are} chirping in the dark (behind the stove), and we {lie|lay} in bed.
The <brave|cowardly> [scout] {can} find the North Star in the dark sky.
The [mice] {are} stealing cheese by moonlight (in the pantry).
(In the dark hall) the clock {strikes|struck} twelve, and a [ghost] {moans|moaned}.
""",
}

# Neither feeling nor time: a colour and, mostly, a describing word with an opposite.
SCENES = {
    "red": """
The <old|young> [fox] {is} wearing a red scarf (in the snow).
A red kite {is} stuck (in the <tall|short> tree).
The [girl] {can} see a red apple (on the <high|low> branch).
(Behind the barn) {stands|stood} a <big|small> red wagon.
The <full|empty> red basket {is} (on the bench).
My [brother] {has|had} a <fast|slow> red sledge.
The [king] {is} sitting (on a <soft|hard> red chair).
A <wet|dry> red mitten {is} lying (on the steps).
The <heavy|light> red box {is} (on top of the cupboard).
The [hen] {is} hiding her <first|last> egg (under a red rag).
The [sailor] {is} coiling a <thick|thin> red rope (on the ship).
The <loud|quiet> [parrot] {has|had} a red tail.
(Beside the well) the [maid] {puts|put} down a <clean|dirty> red bucket.
The red door of the bakery {is} <open|shut>.
The [monkey] {is} eating a <sweet|sour> red cherry (on the balcony).
A <long|short> red ribbon {is} hanging (in the window).
The <strong|weak> [bull] {is} pulling a red cart (along the lane).
The <new|old> red curtain {is} (on the stage).
Our [teacher] {is} writing with a <sharp|blunt> red pencil (at her desk).
The red soup (in the pot) {is} very <hot|cold>.
A <tame|wild> [rabbit] {is} nibbling red berries (by the hedge).
The <rich|poor> [lady] {is} buying red silk (at the fair).
The [mouse] {is} <asleep|awake> (in a red slipper).
""",
    "blue": """
The <deep|shallow> blue lake {is} (behind the mill).
A [stork] {can} carry the <heavy|light> blue bundle (over the sea).
The [tailor] {is} sewing a <wide|narrow> blue coat (in his shop).
My [aunt] {keeps|kept} the <good|bad> eggs (in a blue bowl).
The blue gate of the farm {is} always <shut|open>.
(On the shelf) {is} a <small|big> blue teapot.
The [clown] {has|had} a <tall|short> blue hat.
A <young|old> [whale] {is} swimming (in the blue sea).
The [princess] {is} looking for her <new|old> blue ring (in the grass).
The [bear] {is} washing his <dirty|clean> blue socks (in the brook).
Two blue cups {are} (on the <low|high> table).
The <quick|slow> blue train {is} waiting (at the station).
The [fairy] {is} wearing a <bright|dull> blue cloak (in the wood).
The [boy] {can} lift the <full|empty> blue jug.
(Under the stairs) the [cat] {plays|played} with a <soft|hard> blue ball.
A <poor|rich> [fisherman] {is} painting his boat blue (in the harbour).
The [elephant] {is} sitting (on a <weak|strong> blue stool).
The <long|short> blue scarf {is} (in the top drawer).
The [nurse] {is} folding the <dry|wet> blue towels (in the bathroom).
The blue plums (in the basket) {are} <ripe|unripe>.
A <quiet|loud> [bird] with blue wings {is} sitting (on the fence).
The [giant] {has|had} a blue tent with a <straight|crooked> pole.
The [kitten] {is} <awake|asleep> (on the blue rug).
""",
    "green": """
The <big|small> [frog] {is} sitting (on a green stone).
A <thin|thick> green book {is} lying (on the piano).
The [dragon] {is} polishing his green tail (in the <deep|shallow> pool).
(At the market) the [farmer] {sells|sold} <sour|sweet> green apples.
The [snail] {is} climbing a <high|low> green wall.
The green bottle (on the table) {is} <empty|full>.
My [uncle] {drives|drove} a <slow|fast> green bus.
The [caterpillar] {is} eating a <fresh|stale> green leaf (in the garden).
A <young|old> [gardener] {is} carrying green beans to the kitchen.
The [elf] {has|had} a green cap with a <long|short> feather.
The <narrow|wide> green path {is} (between the fields).
The [goose] {can} walk (over the <wet|dry> green grass).
The <sharp|blunt> green thorns {are} (round the castle).
A <light|heavy> green chair {is} (on the porch).
(In the forest) the [witch] {stirs|stirred} a <hot|cold> green soup.
The [prince] {is} lying (on a <hard|soft> green bed).
The [turtle] {has|had} a <smooth|rough> green shell.
The green shutters of the inn {are} <clean|dirty>.
A <wild|tame> [parrot] with green feathers {is} talking (in the jungle).
The [dwarf] {is} hiding a <smooth|rough> green stone (under a root).
The <last|first> green pear {is} hanging (on the tree).
The [lizard] {is} <asleep|awake> (on a green cactus).
The <kind|unkind> [miller] {is} giving away his green coat (at the gate).
""",
    "yellow": """
The [duckling] with yellow down {is} swimming (in the <shallow|deep> pond).
A <short|long> yellow pencil {is} (in the box).
The [queen] {is} cutting a <small|big> yellow cake (in the garden).
(On the hill) {stands|stood} a <new|old> yellow house.
The [lion] {has|had} <bad|good> teeth and a yellow mane.
The yellow boots (in the hall) {are} <dry|wet>.
A <fast|slow> boat with yellow sails {is} coming into the harbour.
The [chick] {can} sleep (in a <hard|soft> yellow shoe).
The <thick|thin> yellow blanket {is} (in the cupboard).
The [baker] {is} mixing <cold|hot> yellow butter (in a bowl).
The [girl] {is} picking the <first|last> yellow tulip (in the park).
A <weak|strong> [donkey] {is} carrying yellow corn to the mill.
The <dirty|clean> yellow jacket {is} hanging (on the hook).
The [bee] {is} flying to the <low|high> yellow flower.
My [cousin] {has|had} a <heavy|light> yellow bag.
The yellow window of the tower {is} <open|shut>.
The [camel] {is} standing (in a <wide|narrow> yellow valley).
(In the cellar) the [rat] {finds|found} a <full|empty> yellow jar.
The <poor|rich> [painter] {is} painting yellow suns (on the wall).
A <tidy|untidy> [mouse] {is} sweeping a yellow carpet (in her house).
The yellow plum (on the plate) {is} too <soft|hard>.
The [canary] with yellow wings {is} <quiet|loud> (in its cage).
The <lucky|unlucky> [boy] {can} see a yellow coin (in the sand).
""",
    "brown": """
The <young|old> [dog] {is} chewing a brown boot (on the mat).
A <small|big> brown nut {is} lying (under the oak).
The [bear] {is} scratching his brown fur against a <rough|smooth> tree.
(On the kitchen table) {is} a <fresh|stale> brown loaf.
The [cow] with brown spots {is} standing (in the <narrow|wide> stream).
The <heavy|light> brown trunk {is} (in the attic).
The [squirrel] {can} carry the <last|first> brown acorn to its nest.
My [grandfather] {has|had} a brown stick with a <thin|thick> handle.
The [monkey] {is} sitting (in a <tall|short> brown palm).
The brown tea (in the cup) {is} <cold|hot>.
A <wild|tame> [pony] with a brown mane {is} running (over the hills).
The [hare] {is} <awake|asleep> (in the brown grass).
The <dirty|clean> brown bowl {is} (beside the sink).
The [owl] {keeps|kept} her brown feathers <dry|wet> (in the hollow tree).
A <crooked|straight> brown fence {is} standing (round the farm).
The [cobbler] {is} mending <old|new> brown shoes (in the cellar).
(At the inn) the [guest] {eats|ate} a <good|bad> brown sausage.
The <full|empty> brown sack {is} leaning against the wall.
The [mole] {is} digging a <deep|shallow> brown hole (in the lawn).
The [hedgehog] {is} rolling in <dry|wet> brown leaves (by the path).
A <slow|fast> [snail] with a brown shell {is} crawling (along the road).
The <poor|rich> [shepherd] {is} wearing a brown cloak (on the mountain).
The brown lid of the box {is} <shut|open>.
""",
    "pink": """
The <big|small> [pig] {is} showing its pink belly (in the straw).
A <sweet|sour> pink sugar stick {is} lying (on the counter).
The [dancer] {is} wearing her <new|old> pink shoes (on the stage).
(In the sewing box) the [girl] {finds|found} a <long|short> pink thread.
The [baby] {is} <asleep|awake> in a pink blanket.
The pink roses (at the door) {are} <wet|dry>.
The <clean|dirty> pink pillow {is} (on the couch).
A <loud|quiet> [piglet] with a pink nose {is} running (round the yard).
The [rabbit] {can} jump (over the <low|high> pink fence).
My [mother] {has|had} a <light|heavy> pink umbrella.
The [worm] {is} hiding its pink tail (in the <hard|soft> ground).
The <thin|thick> pink paper {is} (in the drawer).
The [mermaid] {is} combing her hair with a pink shell (in the <shallow|deep> sea).
A <tall|short> pink cake {is} (in the shop window).
The [elephant] {is} eating <good|bad> pink melons (at the zoo).
The <rich|poor> [prince] {is} drinking pink lemonade (in the tent).
The pink letter box {is} <full|empty>.
The [goose] {is} pulling at a <tight|loose> pink ribbon (behind the shed).
(On the beach) the [boy] {digs|dug} out the <first|last> pink shell.
A <strong|weak> pink balloon {is} flying (over the roofs).
The [cook] {is} stirring <cold|hot> pink pudding (in the kitchen).
The <old|young> [flamingo] with pink legs {is} standing (in the river).
The [mouse] with pink ears {is} eating <stale|fresh> bread (in the corner).
""",
    "black": """
The [raven] with black wings {is} sitting (on the gravestone).
A big black pot {is} hanging (over the fire).
(In the coal cellar) the [boy] {gets|got} black hands.
The [knight] {is} riding a black horse (through the gate).
The [witch] {has|had} a black hat and a broom.
My [father] {is} polishing his black boots (on the step).
The [ants] {are} building a black hill (under the fir tree).
The [sheep] with the black face {is} eating clover (in the field).
A black cloud {is} hanging (over the hill).
The [spider] {is} spinning (on the black gate).
The [chimney sweep] {can} climb up the black chimney.
The black key {is} (in the lock).
(On the ice) the [penguin] {turns|turned} its black back to us.
The [beetle] {is} crawling (over the black earth).
The [captain] {is} looking through a black spyglass (on the ship).
A black umbrella {is} dripping (in the hall).
The [crow] {can} hide a spoon (in her black nest).
The [mole] {is} pushing his black nose out of the ground.
Black ink {is} running (over the desk).
The [pirate] {is} sewing a black flag (in the cabin).
The [swan] with black feathers {is} swimming (near the island).
The [blacksmith] {is} hammering a black nail (in the forge).
Our [cat] {drops|dropped} a black feather (on the mat).
""",
    "white": """
The [goose] {is} laying a white egg (in the hay).
White smoke {is} rising from the chimney.
The [miller] {has|had} a white apron and a round belly.
(In the snow) the [hare] {hides|hid} its white ears.
The [baker] {is} pouring white flour into the bin.
A white sail {is} passing (behind the rocks).
The [bride] {is} walking to the church in a white dress.
The [goat] with the white beard {is} chewing (on the hillside).
My [grandmother] {is} knitting a white shawl (by the stove).
The [swan] {can} stretch her white neck (over the water).
The white candle {is} standing (on the windowsill).
The [nurse] {is} making a white bed (in the hospital).
(On the pond) {lies|lay} a white water lily.
The [wolf] {is} showing his white teeth (behind the bush).
The [doves] {are} carrying a white letter to the castle.
A white stone {is} shining (at the bottom of the well).
The [polar bear] {is} sleeping (on white ice).
The [cook] {is} beating white cream (in the kitchen).
The [gull] {can} glide (over the white waves).
The [angel] with white wings {is} standing (on the Christmas tree).
The [fox] {is} looking at a white mushroom (in the moss).
The white fence {is} running (along the lane).
The [lamb] {is} rubbing its white wool against the post.
""",
}
