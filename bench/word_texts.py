"""Texts for the estimator of word times, as the normaliser leaves them: (espeak voice, speed, text).

`TUNED` is what its constants were fitted on, `HELD_OUT` is what it is measured on and must not be fitted on.
"""

from __future__ import annotations

from itertools import cycle

Reading = tuple[str, float, str]

_EN_TUNED = """\
The ferry leaves at nine, and the next one is not before noon.
Please remember to water the plants while I am away.
She opened the window, looked at the grey sky, and decided to stay at home.
Nobody knows exactly how many people lived in the old city.
It costs twenty three dollars and fifty cents, including tax.
I think, therefore I am; but some mornings I am not so sure.
Could you tell me where the nearest post office is?
The committee will publish its recommendations at the end of the week.
When the music stopped, everybody in the room began to talk at once.
Three hundred and sixty five days make a year, give or take a quarter.
My brother plays the violin, my sister the drums, and I play the fool.
If you press the green button twice, the machine starts again.
We walked through the forest for hours without meeting anyone.
Fresh bread, salted butter, and strong coffee: what more could you want?
The temperature dropped to minus eleven degrees during the night.
Scientists have discovered a new species of frog in the mountains of Peru.
Yes.
Good evening, everyone.
He didn't say a word, which surprised all of us.
Technology changes quickly, yet our habits change rather slowly.
A small boat drifted along the river, past the mill and under the bridge.
Turn left at the church, go straight on, then ask again.
The quick brown fox jumps over the lazy dog.
Thank you very much for your patience, your call is important to us.
In nineteen sixty nine, two astronauts walked on the surface of the moon.
Although it was raining heavily, the children refused to come inside.
What a wonderful surprise this is!
Every student receives a book, a pencil, and a sheet of paper.
The judge asked the witness to repeat the last sentence slowly.
Large language models predict the next token from all those that came before.
Well, that depends on what you mean by success.
The train to Edinburgh is delayed by approximately forty minutes.
Do not leave your luggage unattended at any time
"""

_EN_HELD_OUT = """\
The library closes at six, so we should return the books this afternoon.
Grandfather told us stories about the sea, about storms, and about whales.
How much wood would a woodchuck chuck?
Seventy two percent of the voters supported the proposal last spring.
My favourite season is autumn, because the leaves turn red and gold.
There is a small problem with your reservation; let me check again.
Nothing travels faster than light, except perhaps bad news.
The engineer explained why the bridge had to be closed for repairs.
Wash the rice three times, add two cups of water, and wait.
Honestly, I would rather walk than take another taxi in this city.
Between the mountains and the coast lies a valley full of orange trees.
Remember that the museum is free on the first Sunday of every month.
We are looking for volunteers who speak Spanish, Arabic, or Japanese.
The doctor said it was nothing serious and told him to rest.
Where did you put the keys to the garage?
Her voice was calm, almost gentle, yet nobody dared to interrupt her.
One thousand four hundred and twelve passengers were on board.
Please hold the line, somebody will be with you shortly.
The old clock in the hall has not worked since the winter of the flood.
Streaming speech starts before the sentence is finished, and that is the point.
No, thank you.
They built the house by hand, stone by stone, over eleven years.
"""

_ZH_TUNED = """\
今天下午我们一起去公园散步吧。
请问，最近的地铁站怎么走？
这本书我已经看了三遍，每一遍都有新的收获。
他昨天买了二十三个苹果和五斤橘子。
如果明天下雨，我们就在家里看电影。
春天来了，花园里的花都开了，蜜蜂也开始忙碌起来。
你好，很高兴认识你。
人工智能正在改变我们的生活，也改变了我们的工作方式。
会议将于星期三上午九点半在三楼举行。
妈妈做的红烧肉特别好吃，我一口气吃了两碗饭。
火车晚点了四十分钟，大家都有点着急。
北京是中国的首都，也是一座历史悠久的城市。
没关系，慢慢来，不要着急。
科学家发现，这种植物只生长在海拔三千米以上的地方。
他站在窗前，望着远处的灯火，一句话也没有说。
这条河从西向东，流过七个省，最后流入大海。
"""

_ZH_HELD_OUT = """\
昨天晚上下了一场大雪，早上起来，整个世界都白了。
请把这份文件交给王经理，谢谢。
我的爷爷今年八十一岁，身体还很健康。
图书馆六点关门，我们得快一点。
中国的高速铁路总长度已经超过四万公里。
你觉得这个主意怎么样？
她会说三种语言，其中法语说得最好。
学习一门新的语言需要时间，需要耐心，更需要兴趣。
电话响了很久，可是没有人接。
老师让我们写一篇关于夏天的作文。
秋天的风吹过田野，金色的稻子像波浪一样起伏。
对不起，我来晚了，路上堵车。
"""

_MIXED_TUNED = """\
我每天早上都喝一杯 coffee，然后开始写 code。
这个 app 的界面很漂亮，但是 bug 有点多。
请打开 settings，找到 privacy 这一项。
我们公司用 Python 写后端，用 JavaScript 写前端。
The Chinese word for hello is 你好。
明天的 meeting 改到下午三点了。
"""

_MIXED_HELD_OUT = """\
他在 Google 工作了五年，现在自己创业。
这次的 deadline 是星期五，大家加油！
我很喜欢 New York，特别是 Central Park 的秋天。
把 email 发给我，我今天晚上看。
He said 谢谢 and walked away.
"""

_OTHER_TUNED = """\
de-male|Guten Morgen, ich hätte gern zwei Brötchen und einen Kaffee.
de-male|Die Straßenbahn fährt alle zehn Minuten, auch am Wochenende.
fr-male|Bonjour, je voudrais réserver une table pour quatre personnes.
fr-male|Le train de Paris arrive à midi, quai numéro sept.
es-male|Mañana por la mañana vamos a la playa con los niños.
es-male|La reunión empieza a las nueve, no llegues tarde.
it-male|Vorrei un bicchiere di vino rosso e un piatto di pasta.
pt-BR-male|O menino comprou um livro novo na livraria da esquina.
"""

_OTHER_HELD_OUT = """\
de-male|Morgen fahren wir mit dem Zug nach Hamburg, wenn das Wetter gut ist.
de-male|Haben Sie noch ein Zimmer frei, am liebsten mit Blick auf den See?
fr-male|Il fait très froid ce matin, prenez un manteau et des gants.
es-male|El gato duerme en la ventana, y el perro lo mira desde el jardín.
it-male|La biblioteca è aperta tutti i giorni, tranne la domenica.
pt-BR-male|Amanhã vamos visitar os nossos avós no interior.
"""

_EN_VOICES = ("en-US-male", "en-GB-female", "en-US-female", "en-GB-male")
_ZH_VOICES = ("cmn-male", "cmn-female")
_SPEEDS = (1.0, 0.85, 1.2, 1.0, 0.7, 1.4, 1.0)


def _readings(english: str, chinese: str, mixed: str, other: str) -> tuple[Reading, ...]:
    readings: list[Reading] = []
    speeds = cycle(_SPEEDS)
    for voices, texts in ((_EN_VOICES, english), (_ZH_VOICES, chinese), (_ZH_VOICES, mixed)):
        readings += zip(cycle(voices), speeds, texts.splitlines())
    for line in other.splitlines():
        voice, text = line.split("|")
        readings.append((voice, next(speeds), text))
    return tuple(readings)


TUNED = _readings(_EN_TUNED, _ZH_TUNED, _MIXED_TUNED, _OTHER_TUNED)
HELD_OUT = _readings(_EN_HELD_OUT, _ZH_HELD_OUT, _MIXED_HELD_OUT, _OTHER_HELD_OUT)
