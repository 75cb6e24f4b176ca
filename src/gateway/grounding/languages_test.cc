// Answers in other languages than English: scripts without spaces, and what says no where.
#include "gateway/grounding/test_grounding.h"

namespace stoa::gateway {
namespace {

TEST(Languages, Words) {
  const struct {
    std::string_view text;
    std::set<std::string> words;
  } table[] = {
      {"密钥每九十天轮换一次。", {"密", "钥", "每", "九十", "天", "轮换", "一次"}},
      {"密钥多久轮换一次？", {"密", "钥", "轮换", "一次"}},
      {"备份保存在哪里？", {"备份", "保存"}},
      {"“备份”……保存在 debian/rules 里，v2.0-1版本", {"备份", "保存", "debian/rules", "里", "v2.0-1", "版本"}},
      {"鍵は何日ごとに交換されますか。", {"鍵", "日", "ごと", "交換"}},
      {"バックアップは「別の場所」に保管されます。", {"バックアップ", "別", "場所", "保管"}},
      {"กุญแจถูกเปลี่ยนบ่อยแค่ไหน", {"กุญแจ", "เปลี่ยน", "บ่อย"}},
      {"一二三 ４５日 ＡＰＩＳ", {"一二三", "45", "日", "apis"}},
      {"Kublai Khan (忽必烈) — the Great", {"kublai", "khan", "忽必烈", "—", "great"}},
  };
  for (const auto& row : table) EXPECT_EQ(content_words(row.text), row.words) << row.text;
  EXPECT_EQ(numbers_of("每90天，第2.0-1版，３回"), (std::set<std::string>{"90", "2.0-1", "3"}));
}

TEST(Languages, Sentences) {
  const struct {
    std::string_view text;
    std::vector<std::string> sentences;
  } table[] = {
      {"密钥每九十天轮换一次。备份保存在另一个地点！谁？", {"密钥每九十天轮换一次。", "备份保存在另一个地点！", "谁？"}},
      {"他说：“轮换吧。”然后走了。", {"他说：“轮换吧。”", "然后走了。"}},
      {"「交換します。」と言った。本当！？はい", {"「交換します。」", "と言った。", "本当！？", "はい"}},
  };
  for (const auto& row : table) {
    std::vector<std::string> found;
    for (const Sentence sentence : split_sentences(row.text)) found.emplace_back(sentence.in(row.text));
    EXPECT_EQ(found, row.sentences);
  }
  for (const std::string_view whole : {"轮换。", "轮换！", "「交換。」", "Done.", "(Done.)"}) EXPECT_TRUE(is_ended(whole)) << whole;
  for (const std::string_view open : {"", "轮换", "轮换，", "Done"}) EXPECT_FALSE(is_ended(open)) << open;
}

TEST(Languages, AreToldByTheirFunctionWords) {
  const struct {
    std::string_view language, text;
  } table[] = {
      {"english", "The key is not rotated."},  {"german", "Der Schlüssel wird nicht gewechselt."},  {"french", "La clé n'est pas changée."},
      {"spanish", "Las llaves no se cambian en la casa."},   {"italian", "La chiave non viene cambiata."},        {"portuguese", "A chave está no cofre."},
      {"dutch", "De sleutel wordt niet vervangen."}, {"swedish", "Nyckeln byts inte ut av oss."},   {"russian", "Ключ не меняется."},
      {"english", "密钥不轮换。"},             {"english", ""},                                     {"english", "Key rotation"},
  };
  for (const auto& row : table) EXPECT_EQ(language_of(row.text), row.language) << row.text;
}

// Knows no script, so that all texts are alike.
class AlikeEmbedder : public WordEmbedder {
 public:
  Result<data::Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    return data::Embeddings{.dimensions = 1, .values = std::vector<float>(texts.size(), 1), .tokens = std::vector<int>(texts.size(), 1), .compute_micros = 5};
  }
};

// What a passage says is found and quoted, and questions of another subject are refused.
TEST(Languages, AnswersAndRefusals) {
  const struct {
    std::string_view passage, question, quote, other;
  } table[] = {
      {"密钥每九十天轮换一次。备份保存在另一个地点。", "密钥多久轮换一次？", "密钥每九十天轮换一次。", "埃菲尔铁塔有多高？"},
      {"密钥每九十天轮换一次。备份保存在另一个地点。", "备份保存在哪里？", "备份保存在另一个地点。", "谁写了《红楼梦》？"},
      {"密鑰每九十天輪換一次。備份保存在另一個地點。", "備份保存在哪裡？", "備份保存在另一個地點。", "法國的首都是哪裡？"},
      {"鍵は九十日ごとに交換されます。バックアップは別の場所に保管されます。", "鍵は何日ごとに交換されますか。", "鍵は九十日ごとに交換されます。", "エッフェル塔の高さは何メートルですか。"},
      {"鍵は九十日ごとに交換されます。バックアップは別の場所に保管されます。", "バックアップはどこに保管されますか。", "バックアップは別の場所に保管されます。", "日本の首都はどこですか。"},
      {"กุญแจจะถูกเปลี่ยนทุกเก้าสิบวัน\n\nสำเนาสำรองเก็บไว้ในสถานที่อื่น", "กุญแจถูกเปลี่ยนบ่อยแค่ไหน", "กุญแจจะถูกเปลี่ยนทุกเก้าสิบวัน", "หอไอเฟลสูงเท่าไร"},
      {"กุญแจจะถูกเปลี่ยนทุกเก้าสิบวัน\n\nสำเนาสำรองเก็บไว้ในสถานที่อื่น", "สำเนาสำรองเก็บไว้ที่ไหน", "สำเนาสำรองเก็บไว้ในสถานที่อื่น", "เมืองหลวงของญี่ปุ่นคืออะไร"},
  };
  WordEmbedder embedder;
  AlikeEmbedder alike;
  for (const auto& row : table) {
    GroundingRequest another = request(std::string(row.other));
    another.passages = {passage(std::string(row.passage), "")};
    for (data::Embedder* used : {static_cast<data::Embedder*>(nullptr), static_cast<data::Embedder*>(&embedder), static_cast<data::Embedder*>(&alike)}) {
      ExtractiveAnswerer answerer(settings(), used);
      EXPECT_FALSE(ask(answerer, another).answer->answered) << row.other;
    }
    for (data::Embedder* used : {static_cast<data::Embedder*>(nullptr), static_cast<data::Embedder*>(&embedder)}) {
      ExtractiveAnswerer answerer(settings(), used);
      GroundingRequest wanted = request(std::string(row.question));
      wanted.passages = {passage(std::string(row.passage), "")};
      const Said said = ask(answerer, wanted);
      check_invariants(said);
      ASSERT_EQ(said.answer->citations.size(), 1u) << row.question;
      EXPECT_EQ(said.answer->text, row.quote);
      EXPECT_EQ(said.answer->citations[0].from, row.passage.find(row.quote));
    }
  }
}

TEST(Languages, WhatSaysNoDoesNotSupportWhatDoesNot) {
  const struct {
    std::string_view source, same, other;
  } table[] = {
      {"The key is rotated by the security team.", "The key is rotated by the team.", "The key isn't rotated by the team."},
      {"Der Schlüssel wird von der Wache gewechselt.", "Der Schlüssel wird gewechselt.", "Der Schlüssel wird nicht gewechselt."},
      {"Der Schlüssel wird nie von der Wache gewechselt.", "Der Schlüssel wird nicht von der Wache gewechselt.", "Der Schlüssel wird von der Wache gewechselt."},
      {"La clé est changée par les gardes du palais.", "La clé est changée par les gardes.", "La clé est pas changée par les gardes."},
      {"La llave se cambia en la casa sin aviso.", "La llave se cambia sin aviso.", "La llave se cambia en la casa."},
      {"La chiave viene cambiata dal custode.", "La chiave viene cambiata dal custode.", "La chiave non viene cambiata dal custode."},
      {"A chave está no cofre da casa.", "A chave está no cofre.", "A chave não está no cofre."},
      {"De sleutel wordt door de wacht vervangen.", "De sleutel wordt vervangen.", "De sleutel wordt niet vervangen."},
      {"Nyckeln byts av vakten i sin bostad.", "Nyckeln byts av vakten.", "Nyckeln byts inte av vakten."},
      {"Nøglen skiftes af vagten i sin bolig.", "Nøglen skiftes af vagten.", "Nøglen skiftes ikke af vagten."},
      {"Klucz jest zmieniany przez strażnika.", "Klucz jest zmieniany przez strażnika.", "Klucz nie jest zmieniany przez strażnika."},
      {"Ключ меняется охраной каждый месяц.", "Ключ меняется охраной.", "Ключ не меняется охраной."},
      {"密钥每九十天轮换一次。", "密钥每九十天轮换。", "密钥每九十天不轮换一次。"},
      {"不同的密钥非常重要。", "不同的密钥非常重要。", "不同的密钥并非非常重要。"},
      {"鍵は九十日ごとに交換されます。", "鍵は九十日ごとに交換されます。", "鍵は九十日ごとに交換されません。"},
      {"กุญแจจะถูกเปลี่ยนทุกเก้าสิบวัน", "กุญแจถูกเปลี่ยนทุกเก้าสิบวัน", "กุญแจไม่ถูกเปลี่ยนทุกเก้าสิบวัน"},
      // What says no elsewhere, and here means something else.
      {"The faux pas and the sin of the keeper.", "The faux pas of the keeper.", "The keeper has not the sin."},
      {"Keys sin, says the keeper of the gate.", "Keys sin, says the keeper.", "Keys don't sin, says the keeper."},
  };
  GroundingSettings lenient = settings();
  lenient.lexical_support = 0.6;  // the words are not the question here
  for (const auto& row : table) {
    const std::vector<Passage> passages{passage(std::string(row.source))};
    const auto evidence = Evidence::collect({}, nullptr, lenient, "", passages);
    ASSERT_TRUE(evidence);
    EXPECT_EQ(evidence->support({}, row.same)->found.size(), 1u) << row.same;
    EXPECT_TRUE(evidence->support({}, row.other)->found.empty()) << row.other;
  }
}

// A model streams bytes; what ends with a wide stop is whole, also where the token limit cuts off the next one.
TEST(Languages, GeneratedSentencesAreChecked) {
  Parrot parrot("密钥每九十天轮换一次。密钥每九十天不轮换。月亮是奶酪做的。", FinishReason::kLength);
  GenerativeAnswerer answerer(settings(), parrot, nullptr);
  GroundingRequest wanted = request("密钥多久轮换一次？");
  wanted.passages = {passage("密钥每九十天轮换一次。备份保存在另一个地点。", "")};
  const Said said = ask(answerer, wanted);
  check_invariants(said);
  EXPECT_EQ(said.answer->text, "密钥每九十天轮换一次。");
  EXPECT_EQ(said.answer->mode, AnswerMode::kGenerative);
  EXPECT_EQ(said.answer->dropped_sentences, 2);
}

}  // namespace
}  // namespace stoa::gateway
