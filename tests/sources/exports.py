"""Files as other programs export them, shortened to what matters and one person or two each."""

from __future__ import annotations

OUTLOOK_ENGLISH = (
    '"First Name","Middle Name","Last Name","Title","Suffix","Nickname","Given Yomi","Surname Yomi","E-mail Address",'
    '"E-mail 2 Address","E-mail 3 Address","Home Phone","Home Phone 2","Business Phone","Business Phone 2","Mobile Phone",'
    '"Car Phone","Other Phone","Primary Phone","Pager","Business Fax","Home Fax","Company Main Phone","Job Title","Department",'
    '"Company","Office Location","Manager\'s Name","Business Street","Business City","Business State","Business Postal Code",'
    '"Business Country/Region","Home Street","Notes"\r\n'
    '"Jörg","","Müller","Dr.","","","","","joerg@example.com","j.mueller@example.com","","+49 30 999","","+49 30 1234","",'
    '"+49 151 1234567","","","","","+49 30 1235","","","Head of Sales","Sales","Example AG","Room 7","",'
    '"Main Street 1\r\n2nd floor","Berlin","BE","10115","Germany","Secret Lane 2","first line\r\nsecond ""line"""\r\n'
)

OUTLOOK_GERMAN = (
    '"Anrede";"Vorname";"Weitere Vornamen";"Nachname";"Suffix";"Firma";"Abteilung";"Position";"Straße geschäftlich";'
    '"Straße geschäftlich 2";"Ort geschäftlich";"Region geschäftlich";"Postleitzahl geschäftlich";"Land/Region geschäftlich";'
    '"Straße privat";"Fax geschäftlich";"Telefon geschäftlich";"Telefon geschäftlich 2";"Telefon privat";"Mobiltelefon";'
    '"E-Mail-Adresse";"E-Mail-Typ";"E-Mail: Angezeigter Name";"E-Mail 2: Adresse";"Büro"\r\n'
    '"Herr";"Jörg";"";"Müller";"";"Beispiel AG";"Vertrieb";"Leiter";"Hauptstraße 1";"Hinterhaus";"Köln";"NRW";"50667";'
    '"Deutschland";"Geheimweg 2";"0221 99";"0221 1234567";"";"0221 5555";"0151 1234567";"joerg@example.de";"SMTP";'
    '"Jörg Müller (joerg@example.de)";"/o=ExchangeLabs/ou=x/cn=y";"Zimmer 7"\r\n'
)

GOOGLE = (
    "First Name,Middle Name,Last Name,Phonetic First Name,Name Prefix,Nickname,File As,Organization Name,Organization Title,"
    "Organization Department,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value,"
    "Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value,Phone 3 - Label,Phone 3 - Value,Address 1 - Label,"
    "Address 1 - Formatted,Address 1 - Street,Address 1 - City,Address 1 - Region,Address 1 - Postal Code,Address 1 - Country,"
    "Address 2 - Label,Address 2 - Street\n"
    "Gina,,Gómez,,,,,Example SL,CEO,Board,,,https://x.example/p,* myContacts,* Work,gina@example.es,Home,gina@home.example,"
    "Mobile,+34 612 345 678,Work ::: Work,+34 91 123 4567 ::: +34 91 123 4568,Home,+34 91 999,Home,,Calle Secreta 1,Madrid,,,,"
    "Work,Gran Vía 2\n"
)

GOOGLE_OLD = (
    "Name,Given Name,Additional Name,Family Name,Group Membership,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,"
    "Phone 1 - Value,Organization 1 - Type,Organization 1 - Name,Organization 1 - Title,Organization 1 - Department\n"
    "Gina Gómez,Gina,,Gómez,* myContacts,* ,gina@example.es,Mobile,+34 612 345 678,,Example SL,CEO,Board\n"
)

APPLE = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Apple Inc.//macOS 15.1//EN\r\nN:Müller;Jörg;;;\r\nFN:Jörg Müller\r\n"
    "ORG:Example AG;Sales;\r\nTITLE:Head of Sales\r\nEMAIL;type=INTERNET;type=HOME:joerg@home.example\r\n"
    "item1.EMAIL;type=INTERNET;type=pref:joerg@example.com\r\nitem1.X-ABLabel:_$!<Work>!$_\r\n"
    "TEL;type=CELL;type=VOICE;type=pref:+49 151 1234567\r\nTEL;type=WORK;type=VOICE:+49 30 1234\r\n"
    "TEL;type=HOME;type=FAX:+49 30 1\r\nitem2.TEL:+49 30 1235\r\nitem2.X-ABLabel:Privat\r\n"
    "ADR;type=HOME:;;Secret Lane 2;Berlin;;10115;Germany\r\n"
    "item3.ADR;type=WORK;type=pref:;;Main Street 1\\n2nd floor;Berlin;BE;10115;\r\n"
    " Germany\r\nPHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/2wBD\r\n AAEBAQEBAQEBAQEBAQEBAQEBAQ==\r\n"
    "UID:4F1E2D3C-0000-4000-8000-000000000001\r\nEND:VCARD\r\n"
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;;;;\r\nFN:Example Hotline\r\nORG:Example Hotline;\r\nX-ABShowAs:COMPANY\r\n"
    "TEL;type=WORK:+49 800 123\r\nEND:VCARD\r\n"
)

OUTLOOK_CARD = (
    "BEGIN:VCARD\r\nVERSION:2.1\r\nX-MS-SIGNATURE:YES\r\nN;LANGUAGE=de;CHARSET=Windows-1252:Müller;Jörg\r\n"
    "FN;CHARSET=Windows-1252:Jörg Müller\r\n"
    "ORG;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Beispiel AG;B=C3=BCro=\r\ntechnik\r\nTITLE:Leiter\r\n"
    "TEL;WORK;VOICE:0221 1234567\r\nTEL;CELL;VOICE:0151 1234567\r\nTEL;WORK;FAX:0221 99\r\n"
    "ADR;WORK;PREF;ENCODING=QUOTED-PRINTABLE:;;Hauptstrasse 1=0D=0AHinterhaus;Koeln;NRW;50667;Deutschland\r\n"
    'EMAIL;PREF;INTERNET:joerg@example.de\r\nX-MS-OL-DESIGN;CHARSET=utf-8:<card xmlns="http://schemas.microsoft.com"></card>\r\n'
    "PHOTO;TYPE=JPEG;ENCODING=BASE64:\r\n /9j/4AAQSkZJRgABAQEA\r\n AAAA\r\n\r\nREV:20240101T000000Z\r\nEND:VCARD\r\n"
)

VERSION_4 = (
    "BEGIN:VCARD\nVERSION:4.0\nFN:Jörg Müller\nN:Müller;Jörg;;Dr.;\nORG:Example AG\n"
    'TEL;VALUE=uri;PREF=1;TYPE="voice,cell":tel:+491511234567\nTEL;VALUE=uri;TYPE=work:tel:+49-30-1234;ext=7\n'
    "EMAIL;TYPE=work:second@example.com\nEMAIL;PREF=1:joerg@example.com\nUID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1\nEND:VCARD\n"
)
