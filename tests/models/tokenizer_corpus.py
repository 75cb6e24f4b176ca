"""A seeded corpus that tokenizers find hard: code, many scripts, emoji, control characters, white space, broken UTF-8."""

import random

WORDS = """the of and to in a is that for it was on are as with his they at be this from have or by one had not but what all were when we there can
an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time
could no make than first been its who now people my made over did down only way find use may water long little very after words called just
where most know get through back much before go good new write our used me man too any day same right look think also around another came come
work three word must because does part even place well such here take why things help put years different away again off went old number great
tell men say small every found still between name should home big give air line set own under read last never us left end along while might next
sound below saw something thought both few those always looked show large often together asked house don't world going want school important until
tokenizer transformer gradient kubernetes Müller naïve café résumé Straße İstanbul Ångström coöperate Übermensch fiancée façade Zürich""".split()
SCRIPTS = {
    "han": "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从",
    "kana": "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをんアイウエオカキクケコサシスセソタチツテト",
    "hangul": "가나다라마바사아자차카타파하고노도로모보소오조초코토포호한국어안녕하세요감사합니다",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئةىًٌٍَُِّْ،؛؟٠١٢٣٤٥",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשתךםןףץְִֵֶַ",
    "devanagari": "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौ्ंः१२३४",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯёЁ",
    "greek": "αβγδεζηθικλμνξοπρστυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩάέήίόύώς",
    "thai": "กขคงจฉชซดตถทนบปผพฟภมยรลวศสหอฮะาิีึืุูเแโใไ่้๊๋์๑๒๓",
    "georgian": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "letters": "ǅǈǋᾈᾼʰʲˠªºⅠⅡⅢⅳⅵ①②③½¾²³₁₂ﬁﬂßẞıİſ𝐀𝐁𝒜𝔸",
}
EMOJI = "😀 😂 🥲 👍🏽 👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 🇯🇵 ❤️ ☃ ✈️ 🧑🏿‍🚀 🎉 🔥 1️⃣ ™ © ♥ ⌘".split()
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2003", "\u200b", "\v", "\f", "\u0085", "\u2028", " \n ", "\n  \n\t", "        "]
SIGNS = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "->", "=>", "::", "//", "/*", "*/", "'s", "'t", "'re", "'ve", "'ll", "'d", "'m", "'S", "'LL", "—", "“", "”", "„", "…", "¿", "§", "€", "£", "±", "×", "∑", "≤", "→", "、", "。", "！", "？", "「", "」"]
CODE = [
    "def f(x: int) -> str:\n    return f\"{x!r:>10}\"", "for (int i = 0; i < n; ++i) { a[i] += b[i] * 2; }", "SELECT id, name FROM users WHERE age >= 21 ORDER BY name;",
    "<div class=\"a b\" id='x'>&nbsp;</div>", "#include <vector>\n#define MAX(a,b) ((a)>(b)?(a):(b))", "git commit -m 'fix: don\\'t crash' && git push origin HEAD~3",
    "{\"key\": [1, 2.5e-3, null, true], \"nested\": {\"a\": \"b\\n\"}}", "const fn = async ({ a, ...rest }) => await Promise.all(rest?.items ?? []);", "x = 0xDEADBEEF ^ 0b1010_1010 // 1_000_000",
    "https://example.com/path?q=a%20b&lang=de#frag", "user.name+tag@mail.example.org", "\tif err != nil {\n\t\treturn fmt.Errorf(\"read %q: %w\", path, err)\n\t}", "$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$",
    "HTTPServer XMLHttpRequest iPhone camelCaseWord SCREAMING_SNAKE_CASE kebab-case-word", "if(a&&b||!c){d??=e;}", "    \n        \n    x", "\"\"\"doc\"\"\"", "-----BEGIN KEY-----\nMIIBIjANBg==\n-----END KEY-----",
]
BROKEN = [b"\xff", b"\xfe\xff", b"\x80", b"\xbf\xbf", b"\xe4\xbd", b"\xf0\x9f\x98", b"\xc3", b"\xf8\x88\x80", b"\xe2\x82", b"\xc3("]


def _word(rng):
    word = rng.choice(WORDS)
    return rng.choice([word, word, word, word.capitalize(), word.upper(), word + rng.choice(["ing", "ed", "'s", "s", "ness"])])


def _script(rng):
    alphabet = SCRIPTS[rng.choice(list(SCRIPTS))]
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 12)))


def _number(rng):
    return rng.choice([str(rng.randint(0, 10 ** rng.randint(1, 12))), f"{rng.uniform(-1000, 1000):.3f}", f"{rng.randint(1, 12)}:{rng.randint(0, 59):02}", f"1{rng.choice(',._ ')}{rng.randint(100, 999)}", hex(rng.randint(0, 2 ** 32))])


def _control(rng):
    return "".join(chr(rng.choice(list(range(0x20)) + [0x7F, 0x80, 0x9F, 0xAD, 0x200D, 0x200E, 0x202E, 0x2060, 0xFEFF, 0xFFFD])) for _ in range(rng.randint(1, 4)))


def _piece(rng):
    return rng.choices([_word, _script, _number, lambda r: r.choice(EMOJI), lambda r: r.choice(SIGNS), lambda r: r.choice(CODE), _control, lambda r: r.choice(SPACES) * r.randint(1, 3)], [12, 4, 3, 2, 5, 2, 0.7, 3])[0](rng)


def lines(count, seed=7):
    """`count` texts as bytes; one in twelve is no valid UTF-8. None is empty.

    Broken bytes stand between characters: inside of one they can make overlong forms and surrogates, which llama.cpp decodes as if
    they were valid and Stoa replaces like any other broken byte.
    """
    rng = random.Random(seed)
    out = []
    for index in range(count):
        joint = rng.choice([" ", " ", " ", ""])
        text = joint.join(_piece(rng) for _ in range(rng.randint(1, 18)))
        data = (text or "x").encode()
        if index % 12 == 0:
            for _ in range(rng.randint(1, 3)):
                place = rng.choice([at for at in range(len(data) + 1) if at == len(data) or data[at] & 0xC0 != 0x80])
                data = data[:place] + rng.choice(BROKEN) + data[place:]
        out.append(data)
    return out


def is_text(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False
