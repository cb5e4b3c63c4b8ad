"""What is said: sentences made from word lists for training, and others, written by hand, held out."""
import random

NAMES = ("Anna Peter Maria George Sophie Thomas Emma Victor Julia Oliver Hannah Felix Clara Martin Zoe Hugo Paula "
         "William Beth Joseph Rachel Adam Naomi Charles Judith").split()
PEOPLE = ("mother father brother sister teacher doctor baker farmer pilot painter neighbour captain boy girl judge "
          "writer singer waiter uncle nephew student soldier child woman man").split()
THINGS = ("book boat table window apple paper bottle picture camera bridge garden river mountain village kitchen "
          "shoe watch coat jacket thumb tooth feather leather measure treasure engine machine church orange sugar "
          "ship bush wall voice choice oil moon spoon wood cookie sheep cheese leaf valve wave stove fish zebra museum "
          "dog frog ball law horse house mouse cloud flower bird word girl earth nurse cup bus mother lunch money "
          "cat bag lamp map hand bed desk egg bread letter ring king song wing finger year ear beer chair pear stair "
          "yellow onion usual beige garage thing path bath month cloth father weather rhythm").split()
PLACES = ("London Paris Vienna Boston Geneva Bombay Oxford Java Athens Zurich Havana Warsaw Moscow Cairo Peru "
          "Germany Sweden Brazil Japan Wyoming").split()
ADJECTIVES = ("big small warm cold quick slow early late old young beautiful ugly happy sad heavy light blue green "
              "brown white yellow purple smooth rough quiet loud empty full famous fresh foolish vague very thin thick "
              "jealous huge strange cheap rich sharp average deep wide narrow royal loyal noisy pure sour").split()
VERBS = ("found lost saw made took gave sold bought kept left moved pushed pulled opened closed washed watched "
         "followed finished covered carried brought showed fixed chose used measured imagined enjoyed forgot "
         "remembered wanted loved missed painted built broke threw caught").split()
ADVERBS = ("yesterday today tomorrow quickly slowly always never often perhaps usually happily again together "
           "outside upstairs nearby early").split() + ["this morning", "this evening"]
NUMBERS = ("two three four five six seven eight nine ten eleven twelve thirteen twenty thirty-four fifty-five sixty "
           "ninety-nine").split() + ["a hundred", "a thousand"]
OPENERS = ("Well, ", "By the way, ", "As you know, ", "However, ", "In my view, ", "Oh, ", "Yes, ", "No, ", "Of course, ",
           "Please listen: ", "First of all, ", "", "", "", "", "", "")
TEMPLATES = (
    "{name} {verb} the {adj} {thing} {adv}.",
    "The {adj} {person} {verb} {number} {thing}s in {place}.",
    "Why did the {person} leave the {thing} near the {thing2}?",
    "My {person} {verb} a {adj} {thing}, and {name} {verb2} the {thing2}.",
    "If you go to {place}, buy me a {adj} {thing}.",
    "There are {number} {adj} {thing}s behind the {thing2}.",
    "{name} and {name2} {verb} everything but the {thing}.",
    "We should have {verb} the {thing} before {name} came home.",
    "Is this your {thing}, or does it belong to the {person}?",
    "He said: the {thing} is too {adj} for the {thing2}.",
    "Where is {name}? She is in {place} with a {person} and {number} {thing}s.",
    "Could you show me how the {adj} {thing} works?",
    "I would rather have a {thing} than a {thing2}.",
    "They {verb} it; nobody knows whether the {person} {verb2} the {thing}.",
    "What a {adj} {thing}!",
    "You may put the {thing} on the {thing2}, {name}.",
    "{number} {person}s {verb} the {thing}, the {thing2} and the {thing3}.",
    "Every {person} in {place} has a {adj} {thing} and a {adj2} {thing2}.",
    "Both of us were {adj}, hungry and tired.",
    "Thank you for the {thing}; it is far more {adj} than mine.",
)

# Never trained on; written to be said aloud, with the sounds that are hard to draw side by side.
HELD_OUT = (
    "Good evening, and welcome to the show. My name is whatever you like.",
    "Big brown bears prefer plums, but people prefer pie.",
    "She sells fresh fish by the shore, where the fog rolls in.",
    "How now? We owe you one more hour of work.",
    "Five of the very best violins vanished from the van.",
    "Please close the door. Thank you. Now, open it again.",
    "A network draws my mouth, and the rest of me was drawn with patience.",
    "You chew your food too fast; few would choose to.",
)
# A voice whose accent and timbre are both left out of training.
HELD_OUT_VOICE = "en-gb-scotland+f3"
VOICES = ("en-us", "en-us+f1", "en-us+f2", "en-us+f4", "en-us+m1", "en-us+m3", "en-us+m5", "en-us+m7", "en-us+Annie",
          "en-us+Andy", "en-us+linda", "en-us+steph", "en-us+michael", "en", "en+f5", "en+m2", "en+belinda",
          "en-gb-x-rp", "en-gb-x-rp+f2", "en-gb-x-gbcwmd+m6", "en-029+f1", "en-029+m4", "en-gb-x-gbclan+f4",
          "en-gb-x-gbclan+m8", "en-us-nyc+m4", "en-us+Alicia", "en+anika", "en-us+edward")


def sentence(rng):
    one = lambda words: rng.choice(words)
    text = rng.choice(TEMPLATES).format(
        name=one(NAMES), name2=one(NAMES), person=one(PEOPLE), thing=one(THINGS), thing2=one(THINGS),
        thing3=one(THINGS), place=one(PLACES), adj=one(ADJECTIVES), adj2=one(ADJECTIVES), verb=one(VERBS),
        verb2=one(VERBS), adv=one(ADVERBS), number=one(NUMBERS))
    text = rng.choice(OPENERS) + text
    return text[0].upper() + text[1:]


def sentences(seed):
    """Without end."""
    rng = random.Random(seed)
    while True:
        yield sentence(rng)
