"""Words that a check of facts reads by their role: function words, negations, numbers, months, units.

Adding a language is adding its line to each table; one without a line is still compared word by word.
"""

FUNCTION_WORDS: dict[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": """
            a about above after again also am an and any are as at be because been being but
            by can could did do does doing done each either else for from further had has have
            having he her here hers him his how however i if in into is it its itself just let
            like may me might much my of off on once one or other our ours out over own please
            shall she should so some such than that the their theirs them then there these
            they this those through to too under until up upon us very was we were what when
            where whether which while who whom whose why will with would yes you your yours
            during therefore thus
        """,
        "de": """
            aber alle allem allen aller alles als also am an auch auf aus bei beim bin bis
            bist da dabei damit dann das dass dem den der des deshalb die dies diese diesem
            diesen dieser dieses doch dort du durch ein eine einem einen einer eines er es
            etwas euch euer für gegen hat hatte hatten haben hier hinter ich ihm ihn ihnen ihr
            ihre ihrem ihren ihrer im in indem ins ist ja jede jedem jeden jeder jedes kann
            können könnte man mehr mein meine mit muss müssen nach noch nun nur ob oder ohne
            sein seine seinem seinen seiner seit sich sie sind so soll sollen sollte sondern
            sowie um und uns unser unsere unter vom von vor war waren warum was weil welche
            welchem welchen welcher welches wenn wer werden wie wir wird wo wurde wurden zu
            zum zur zwischen über
        """,
        "es": """
            a al algo ante antes aquí así aunque bajo cada como con cuál cual cuando de del
            desde donde dónde dos durante e el él ella ellas ellos en entre era eran es esa
            esas ese eso esos esta está están estas este esto estos fue fueron ha había han
            hasta hay la las le les lo los más me mi mientras muy o para pero por porque puede
            pueden que qué quién se según ser si sí sobre son su sus también tan tiene tienen
            todo todos tu un una unas uno unos usted ustedes y ya yo
        """,
        "fr": """
            à afin ainsi alors après au aucun aussi autre aux avant avec avoir car ce ceci
            cela celle celui ces cet cette ceux chaque comme comment d dans de depuis des donc
            dont du elle elles en encore est et étaient était être eu il ils j je l la le les
            leur leurs lors lui m ma mais me même mes mon n nos notre nous on ont or ou où par
            parce peut peuvent plus pour pourquoi puis qu quand que quel quelle quelles quels
            qui s sa se sera ses si sont sous sur ta te tes ton tous tout toute toutes très tu
            un une vers vos votre vous y
        """,
        "it": """
            a ad agli ai al alla alle allo anche ancora avere c che chi ci come con cosa così
            cui da dagli dai dal dalla dalle dallo degli dei del della delle dello di dopo
            dove due e ed è era erano essere fra già gli ha hanno i il in io l la le lei li lo
            loro lui ma mi mia mio nei nel nella nelle nello ne noi nostro o ogni per perché
            più può possono prima quale quali quando quella quello questa queste questi questo
            qui se si sia sono su sua sue sugli sui sul sulla sulle suo suoi tra tu tutti
            tutto un una uno vi voi
        """,
        "nl": """
            aan af al alle als altijd andere bij daar dan dat de der deze die dit doen door
            dus een en er ge haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik
            in is ja je jij kan kunnen maar me meer men met mij mijn moet moeten na naar nu of
            om omdat onder ons onze ook op over te tegen toch toen tot u uit uw van veel voor
            waar want waren was wat we wel werd wie wij wil worden wordt zal ze zich zij zijn
            zo zonder zou
        """,
        "pt": """
            a à ao aos aquela aquele as às até cada com como da das de dela dele deles depois
            do dos e é ela elas ele eles em entre era eram essa esse esta está estão estas
            este estes eu foi foram há isso isto já lhe mais mas me mesmo meu minha muito na
            nas no nos nós o onde os ou para pela pelas pelo pelos pode podem por porque qual
            quando que quem são se ser seu seus sua suas também tem têm todo todos tu um uma
            você vocês
        """,
    }.items()
}

_NEGATIONS = """
    not no none never neither nor nobody nothing nowhere cannot without isn't aren't don't doesn't
    nicht kein keine keinem keinen keiner keines nie niemals niemand nichts weder ohne
    nunca jamás ningún ninguna ninguno nadie nada sin tampoco
    ne pas jamais aucune rien sans ni
    non mai nessun nessuna nessuno niente senza né
    niet geen nooit niemand niets zonder noch
    não nenhum nenhuma ninguém sem nem
    не нет никогда без
"""
NEGATIONS = frozenset(_NEGATIONS.split())

NUMBER_WORDS = {
    word: str(value)
    for value, words in {
        2: "two zwei deux twee due dois",
        3: "three drei tres trois tre drie três",
        4: "four vier cuatro quatre quattro quatro",
        5: "five fünf cinco cinq cinque vijf",
        6: "six sechs seis sei zes",
        7: "seven sieben siete sept sette zeven sete",
        8: "eight acht ocho huit otto oito",
        9: "nine neun nueve neuf negen nove",
        10: "ten zehn diez dix dieci tien dez",
        11: "eleven elf once onze undici",
        12: "twelve zwölf doce douze dodici twaalf doze",
        20: "twenty zwanzig veinte vingt venti twintig vinte",
        30: "thirty dreißig treinta trente trenta dertig trinta",
        60: "sixty sechzig sesenta soixante sessanta zestig sessenta",
        90: "ninety neunzig noventa novanta negentig",
        100: "hundred hundert cien cent cento honderd cem",
        1000: "thousand tausend mil mille duizend",
    }.items()
    for word in words.split()
    # "once" counts in Spanish and means something else in English; one reading must do for both sides.
    if word not in {"once", "sei"}
}

MONTHS = {
    word: number
    for number, words in enumerate(
        [
            "january jan januar enero janvier gennaio januari janeiro",
            "february feb februar febrero février febbraio februari fevereiro",
            "march märz marzo mars maart março",
            "april apr abril avril aprile",
            "may mai mayo maggio mei maio",
            "june jun juni junio juin giugno junho",
            "july jul juli julio juillet luglio julho",
            "august aug agosto août augustus",
            "september sep sept septiembre septembre settembre setembro",
            "october oct oktober okt octubre octobre ottobre outubro",
            "november nov noviembre novembre novembro",
            "december dec dezember dez diciembre décembre dicembre dezembro",
        ],
        1,
    )
    for word in words.split()
    # Everyday words of other languages.
    if word not in {"mars", "sept", "dez"}
}

UNITS = {
    stem: unit
    for unit, stems in {
        "ms": "ms millisecond millisekund",
        "s": "s sec second secund sekund segund",
        "min": "min minut minuut",
        "h": "h hr hour stund hor heur uur or",
        "d": "d day tag dia día jour giorn dag dagen",
        "week": "week woch seman semain settiman wek",
        "month": "month monat mes mois maand",
        "year": "year jahr año anno an jaar yr",
        "%": "% percent prozent procent porcent",
        "usd": "$ usd dollar",
        "eur": "€ eur euro",
        "gbp": "£ gbp",
        "jpy": "¥ yen",
        "B": "b byte bytes",
        "KB": "kb kilobyt kib",
        "MB": "mb megabyt mib",
        "GB": "gb gigabyt gib",
        "TB": "tb terabyt tib",
        "mm": "mm millimet",
        "cm": "cm centimet",
        "m": "m met meter metr",
        "km": "km kilomet",
        "mi": "mi mile",
        "ft": "ft foot feet",
        "g": "g gram",
        "kg": "kg kilo kilogram",
        "°": "° degre celsius fahrenheit",
        "million": "million millon",
        "billion": "billion",
    }.items()
    for stem in stems.split()
}
"""Stems of units, as words have them, to one name for each unit. Another unit is another fact."""
