"""Names, towns and telephone habits of the demo tenant's countries. All numbers are reserved for fiction or plainly invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """An office with its people.

    Names come as "written" or "written|romanised". `lines` and `mobiles` are ways to write a number: `#` becomes a digit.
    `family_first`: written names put the family name first, without a space where `joined`.
    """

    country: str
    code: str
    city: str
    street: str
    postal_code: str
    given: tuple[str, ...]
    family: tuple[str, ...]
    lines: tuple[str, ...]
    mobiles: tuple[str, ...]
    language: str
    family_first: bool = False
    joined: bool = False


PLACES = (
    Place(
        "United Kingdom", "GB", "London", "14 Larkspur Row", "EC1A 1ZZ",
        ("Olivia", "George", "Amelia", "Harry", "Isla", "Siân", "Zoë", "Callum", "Niamh", "Rhys"),
        ("Smith", "O'Neill", "Fitzgerald-Hughes", "Patel", "MacDonald", "Brontë", "Taylor", "Okafor", "Evans", "Whitby"),
        # 020 7946 0xxx and 07700 900xxx: kept for drama by Ofcom
        ("+44 20 7946 0###", "020 7946 0###", "(020) 7946-0###",
         "+44 (0)20 7946 0###", "0044 20 79460###", "020 7946 0### ext. 12"),
        ("07700 900###", "+447700900###", "07700-900-###", "+44 7700 900 ###"), "en-GB",
    ),
    Place(
        "United States", "US", "Portland", "2200 Alder Street", "97205",
        ("James", "Maria", "DeShawn", "Emily", "Tyler", "José", "Grace", "Logan", "Aaliyah", "Chloe"),
        ("Johnson", "Nguyen", "García", "Van Dyke", "Lee", "McCarthy", "Washington", "Kowalczyk", "Brown", "Hernández"),
        # 555-0100 to 555-0199: kept for fiction in North America
        ("(503) 555-01##", "503.555.01##", "+1 503 555 01##", "1-503-555-01##", "+1 (503) 555-01## x204", "50355501##"),
        ("(971) 555-01##", "+197155501##", "971-555-01##"), "en-US",
    ),
    Place(
        "Germany", "DE", "Berlin", "Lindenallee 7a", "10115",
        ("Jürgen", "Anneliese", "Björn", "Käthe", "Lukas", "Mia", "Günther", "Sören", "Leonie", "Friederike"),
        ("Müller", "Groß", "von der Heide", "Schäfer", "Özdemir", "Weiß", "Krüger", "Schmidt-Böhm", "Hoffmann", "Vogel"),
        # (0)30 23125 xxx and 0171 39200 xx: kept for drama by the Bundesnetzagentur
        ("+49 30 23125-###", "030/23125###", "(030) 23125 ###", "0049 30 23125###", "+49 (0)30 23125-###"),
        ("0171 39200##", "+49 171 39200##", "0171/39200##"), "de-DE",
    ),
    Place(
        "France", "FR", "Lyon", "3 bis, rue des Tilleuls", "69002",
        ("Élodie", "François", "Anaïs", "Jérôme", "Chloé", "Léa", "Benoît", "Océane", "Gaël", "Maëlle"),
        ("Lefèvre", "Dupont", "d'Ormesson", "Béranger", "Le Goff", "Müntz", "Garçon", "Noël", "Chevalier", "Roux"),
        # 04 65 71 xx xx and 06 39 98 xx xx: kept for fiction by the Arcep
        ("04 65 71 ## ##", "04.65.71.##.##", "+33 4 65 71 ## ##", "+33 (0)4 65 71 ## ##", "046571####"),
        ("06 39 98 ## ##", "+3363998####", "06.39.98.##.##"), "fr-FR",
    ),
    Place(
        "Poland", "PL", "Kraków", "ul. Wierzbowa 12/4", "31-002",
        ("Łukasz", "Agnieszka", "Michał", "Żaneta", "Paweł", "Małgorzata", "Świętosława", "Zbigniew", "Ewa", "Bożena"),
        ("Wójcik", "Żółkiewska", "Dąbrowski", "Kowalski", "Śliwińska",
         "Brzęczyszczykiewicz", "Nowak", "Łęcki", "Źrebiec", "Pająk"),
        ("+48 12 000 ## ##", "12 000-##-##", "(12) 000 ## ##", "0048 12 000####"), ("+48 500 000 ###", "500-000-###"), "pl-PL",
    ),
    Place(
        "Türkiye", "TR", "İzmir", "Ihlamur Sokağı 5", "35210",
        ("Işıl", "İbrahim", "Çağla", "Gökçe", "Oğuz", "Şule", "Ümit", "Ayşe", "Doğan", "Özge"),
        ("Yılmaz", "Çelik", "Şahin", "Öztürk", "Güneş", "Ağaoğlu", "Kılıç", "Işık", "Demir", "Ünal"),
        ("+90 232 000 ## ##", "0232 000 ####", "(0232) 000-##-##"), ("+90 500 000 ## ##", "0500 000 ####"), "tr-TR",
    ),
    Place(
        "Ukraine", "UA", "Київ", "вулиця Липова, 8", "01001",
        ("Олена|Olena", "Андрій|Andrii", "Юлія|Yuliia", "Їжак|Yizhak",
         "Богдан|Bohdan", "Світлана|Svitlana", "Тарас|Taras", "Зоряна|Zoriana"),
        ("Шевчук|Shevchuk", "Ткаченко|Tkachenko", "Гончар|Honchar",
         "Щербак|Shcherbak", "Коваль|Koval", "Лисенко|Lysenko", "Єфименко|Yefymenko"),
        ("+380 44 000 ## ##", "(044) 000-##-##", "044 000 ####"), ("+380 50 000 ## ##", "050-000-##-##"), "uk-UA",
    ),
    Place(
        "Bulgaria", "BG", "София", "ул. Липа 21", "1000",
        ("Иван|Ivan", "Мария|Maria", "Георги|Georgi",
         "Десислава|Desislava", "Николай|Nikolay", "Цветелина|Tsvetelina", "Стоян|Stoyan"),
        ("Иванов|Ivanov", "Петрова|Petrova", "Димитров|Dimitrov",
         "Стоянова|Stoyanova", "Ангелов|Angelov", "Щерев|Shterev", "Желев|Zhelev"),
        ("+359 2 000 ####", "02/000 ## ##", "(02) 000 ####"), ("+359 88 000 ####", "088 000 ####"), "bg-BG",
    ),
    Place(
        "Greece", "GR", "Αθήνα", "Οδός Φλαμουριάς 9", "105 57",
        ("Γιώργος|Giorgos", "Ελένη|Eleni", "Δημήτρης|Dimitris",
         "Κατερίνα|Katerina", "Νίκος|Nikos", "Ιωάννα|Ioanna", "Σπύρος|Spyros"),
        ("Παπαδόπουλος|Papadopoulos", "Νικολάου|Nikolaou", "Γεωργίου|Georgiou",
         "Αγγελής|Angelis", "Οικονόμου|Oikonomou", "Βλάχος|Vlachos"),
        ("+30 21 0000 ####", "210 000 ####", "(210) 000-####"), ("+30 690 000 ####", "690 000 ####"), "el-GR",
    ),
    Place(
        "United Arab Emirates", "AE", "دبي", "شارع النخيل ٥", "",
        ("محمد|Mohammed", "فاطمة|Fatima", "أحمد|Ahmed", "مريم|Maryam",
         "خالد|Khalid", "ليلى|Layla", "يوسف|Yousef", "نورة|Noura"),
        ("المنصوري|Al Mansouri", "الهاشمي|Al Hashimi", "بن سعيد|bin Saeed",
         "الكعبي|Al Kaabi", "حداد|Haddad", "النجار|Al Najjar"),
        ("+971 4 000 ####", "04 000 ####", "٠٤ ٠٠٠ ####"), ("+971 50 000 ####", "050 000 ####"), "ar-AE",
    ),
    Place(
        "Israel", "IL", "תל אביב", "רחוב התרזה 11", "6100001",
        ("דוד|David", "נועה|Noa", "יוסף|Yosef", "תמר|Tamar", "איתן|Eitan", "שירה|Shira", "אורי|Uri"),
        ("כהן|Cohen", "לוי|Levi", "בן-דוד|Ben-David", "מזרחי|Mizrahi", "פרידמן|Friedman", "אזולאי|Azoulay"),
        ("+972 3 000 ####", "03-000-####", "(03) 000####"), ("+972 50 000 ####", "050-000-####"), "he-IL",
    ),
    Place(
        "Japan", "JP", "東京", "千代田区しなのき町1-2-3", "100-0001",
        ("さくら|Sakura", "健太|Kenta", "陽子|Yoko", "大輔|Daisuke", "美咲|Misaki", "翔|Sho", "直美|Naomi", "誠|Makoto"),
        ("佐藤|Sato", "鈴木|Suzuki", "高橋|Takahashi", "渡辺|Watanabe", "山本|Yamamoto", "小林|Kobayashi", "齋藤|Saito"),
        ("+81 3-0000-####", "03-0000-####", "（03）0000-####",
         "０３－００００－####"), ("090-0000-####", "+81 90 0000 ####"), "ja-JP",
        family_first=True, joined=True,
    ),
    Place(
        "China", "CN", "上海", "椴树路88号", "200000",
        ("伟|Wei", "芳|Fang", "娜|Na", "秀英|Xiuying", "敏|Min", "强|Qiang", "晓明|Xiaoming", "丽华|Lihua"),
        ("王|Wang", "李|Li", "张|Zhang", "刘|Liu", "欧阳|Ouyang", "陈|Chen", "司马|Sima"),
        ("+86 21 0000 ####", "021-0000####", "(021) 0000 ####"), ("+86 100 0000 ####", "100-0000-####"), "zh-CN",
        family_first=True, joined=True,
    ),
    Place(
        "South Korea", "KR", "서울", "보리수길 17", "04500",
        ("민준|Minjun", "서연|Seoyeon", "지훈|Jihoon", "수빈|Subin", "현우|Hyunwoo", "지우|Jiwoo", "예은|Yeeun"),
        ("김|Kim", "이|Lee", "박|Park", "최|Choi", "정|Jung", "남궁|Namgung", "황보|Hwangbo"),
        ("+82 2-000-####", "02-000-####", "(02) 000 ####"), ("010-0000-####", "+82 10 0000 ####"), "ko-KR",
        family_first=True, joined=True,
    ),
    Place(
        "India", "IN", "पुणे", "12, अशोक मार्ग", "411001",
        ("आरव|Aarav", "प्रिया|Priya", "रोहन|Rohan", "अनन्या|Ananya",
         "विक्रम|Vikram", "श्रेया|Shreya", "अर्जुन|Arjun", "दीपिका|Deepika"),
        ("शर्मा|Sharma", "पाटील|Patil", "कुलकर्णी|Kulkarni",
         "देशपांडे|Deshpande", "सिंह|Singh", "जोशी|Joshi", "त्रिपाठी|Tripathi"),
        ("+91 20 0000 ####", "020-0000 ####", "(020) 0000####"), ("+91 00000 0####", "0000-00####"), "hi-IN",
    ),
    Place(
        "Thailand", "TH", "กรุงเทพฯ", "ซอยโพธิ์ 3", "10200",
        ("สมชาย|Somchai", "ณัฐ|Nat", "มาลี|Malee", "กิตติ|Kitti", "พิมพ์|Pim"),
        ("ศรีสุข|Srisuk", "วงศ์ใหญ่|Wongyai", "แสงทอง|Saengthong", "บุญมี|Boonmee", "จันทร์เพ็ญ|Chanphen"),
        ("+66 2 000 ####", "02-000-####"), ("+66 80 000 ####", "080-000-####"), "th-TH",
    ),
)  # fmt: skip

DEPARTMENTS: dict[str, tuple[str, ...]] = {
    "Engineering": ("Software Engineer", "Senior Engineer", "Principal Engineer", "Test Engineer", "Engineering Manager"),
    "Sales": ("Account Manager", "Sales Representative", "Regional Director", "Sales Operations Analyst"),
    "Customer Care": ("Support Agent", "Team Lead", "Service Manager"),
    "Finance": ("Accountant", "Controller", "Payroll Specialist", "Treasurer"),
    "People & Culture": ("Recruiter", "HR Business Partner", "Learning Specialist"),
    "Legal": ("Counsel", "Paralegal", "Data Protection Officer"),
    "Logistics": ("Planner", "Warehouse Supervisor", "Dispatcher"),
    "IT": ("Systems Administrator", "Service Desk Analyst", "Security Analyst"),
    "Marketing": ("Designer", "Campaign Manager", "Copywriter"),
}
