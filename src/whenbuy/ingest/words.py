"""What shops call their columns and events, in the languages that their exports are written in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_GAP = re.compile(r"[\W_]+")


def plain(name: str) -> str:
    """Return a name in lower case without accents, its words joined by one underscore: ``"Kunden-Nr."`` is ``kunden_nr``."""
    name = name.replace("ß", "ss")
    name = unicodedata.normalize("NFKD", _CAMEL.sub("_", name.strip()))
    name = "".join(c for c in name if not unicodedata.combining(c))
    return _GAP.sub("_", name.lower()).strip("_")


def _table(lines: Mapping[str, str]) -> dict[str, str]:
    return {word: meaning for meaning, text in lines.items() for word in text.split()}


COLUMN_NAMES: Final = _table({
    "user_id": """
        user_id userid user uid customer_id customerid customer cust_id custid client_id clientid client shopper_id buyer_id
        buyer member_id member client household_id household visitor_id visitorid visitor account_id account person_id customer_no
        customer_number customer_key customer_code user_pseudo_id distinct_id anonymous_id profile_id contact_id email e_mail
        customer_email card_id loyalty_id loyalty_card kunde kunden_id kundenid kunden_nr kundennr kundennummer kunden_nummer
        kd_nr benutzer benutzer_id nutzer nutzer_id id_client client_no numero_client num_client code_client no_client
        utilisateur id_utilisateur acheteur id_acheteur cliente id_cliente cliente_id codigo_cliente cod_cliente numero_cliente
        num_cliente usuario id_usuario usuario_id comprador codice_cliente utente id_utente utente_id acquirente klant klant_id
        klantid klantnummer klantnr klant_nr gebruiker gebruiker_id 用户 用户id 用户编号 客户 客户id 客户编号 会员 会员id 会员号
        会员编号 顾客 顾客id 买家 买家id 顧客id 用戶id""",
    "kind": """
        kind event event_type eventtype event_name eventname action action_type type_event behavior behaviour behavior_type
        behaviour_type activity activity_type interaction interaction_type event_kind ereignis ereignistyp ereignis_typ
        ereignisart aktion vorgang aktionsart evenement type_evenement type_d_evenement action_client evento tipo_evento
        tipo_de_evento accion acao azione tipo_azione gebeurtenis gebeurtenistype actie 事件 事件类型 事件名称 行为 行为类型
        动作 操作类型""",
    "time": """
        time timestamp ts datetime date_time event_time eventtime event_timestamp event_date eventdate date occurred_at
        created_at created createdat creation_date transaction_time transaction_timestamp transaction_date transaction_dt
        trans_date order_date orderdate ordered_at order_time order_timestamp order_purchase_timestamp purchase_date
        purchase_time purchased_at invoice_date invoicedate sale_date sales_date day when datum zeit zeitpunkt zeitstempel
        uhrzeit datum_uhrzeit bestelldatum bestellzeit kaufdatum rechnungsdatum belegdatum auftragsdatum date_heure horodatage
        date_commande date_de_commande date_achat date_d_achat date_facture date_de_facture date_vente fecha fecha_hora
        fecha_pedido fecha_compra fecha_de_compra fecha_factura fecha_venta hora data data_hora data_pedido data_do_pedido
        data_compra data_da_compra data_venda data_fatura data_ora data_ordine data_acquisto data_fattura data_vendita
        besteldatum orderdatum aankoopdatum factuurdatum tijdstip tijd 时间 日期 时间戳 事件时间 行为时间 订单时间 订单日期
        下单时间 下单日期 购买时间 购买日期 支付时间 付款时间 交易时间 交易日期 创建时间""",
    "known_at": """
        known_at knownat received_at receivedat ingested_at ingestion_time ingest_time loaded_at load_time arrived_at
        arrival_time recorded_at inserted_at processing_time server_received_at available_at erfasst_am eingegangen_am recu_le
        recibido_el recebido_em ricevuto_il ontvangen_op 入库时间 接收时间 到达时间""",
    "event_id": "event_id eventid event_uuid event_no row_id line_id ereignis_id id_evenement id_evento 事件id 事件编号",
    "order_id": """
        order_id orderid order_no order_number ordernumber order basket_id basket transaction_id transactionid transaction_no
        invoice_no invoiceno invoice_id invoice invoice_number receipt_id receipt_no receipt ticket_id bill_no purchase_id
        checkout_id bestellung bestell_nr bestellnr bestellnummer bestell_id auftrag auftragsnr auftrags_nr auftragsnummer
        rechnung rechnungsnr rechnungs_nr rechnungsnummer bon_nr bonnr bonnummer belegnr beleg_nr belegnummer commande
        id_commande no_commande num_commande numero_commande numero_de_commande facture no_facture num_facture numero_facture
        pedido id_pedido numero_pedido num_pedido nro_pedido factura numero_factura num_factura fatura numero_fatura nota_fiscal
        ordine id_ordine numero_ordine num_ordine fattura numero_fattura scontrino bestelling bestelnummer bestelnr ordernummer
        factuur factuurnummer factuurnr 订单 订单id 订单号 订单编号 交易号 交易编号 流水号 小票号""",
    "session_id": """
        session_id sessionid session session_key visit_id visitid user_session ga_session_id sitzung sitzungs_id session_nr
        id_session sesion id_sesion sessao id_sessao sessione id_sessione sessie sessie_id 会话 会话id""",
    "item_id": """
        item_id itemid item product_id productid product sku sku_id article_id articleid article stock_code stockcode asin isbn
        ean upc gtin product_code item_code product_no item_no material_no variant_id artikel artikel_nr artikelnr artikelnummer
        artikel_id produkt produkt_id produkt_nr produktnr produktnummer produit id_produit code_produit ref_produit
        reference_produit id_article code_article producto id_producto codigo_producto cod_producto articulo id_articulo
        codigo_articulo produto id_produto produto_id codigo_produto cod_produto prodotto id_prodotto codice_prodotto articolo
        codice_articolo artikelcode product_nr productnummer 商品 商品id 商品编号 商品编码 产品 产品id 产品编号 货号""",
    "category": """
        category category_id categoryid category_code category_name product_category item_category cat_id product_type
        department product_group kategorie kategorie_id warengruppe produktgruppe produktkategorie artikelgruppe categorie
        id_categorie categorie_produit rayon categoria id_categoria categoria_producto categoria_produto categoria_prodotto
        reparto productcategorie productgroep 类别 类目 类目id 商品类目 商品类别 品类 分类""",
    "brand": """
        brand brand_id brand_name manufacturer marke marken_id hersteller marque fabricant marca fabricante produttore merk 品牌
        品牌id""",
    "unit_price": """
        unit_price unitprice price item_price price_per_unit selling_price sales_price product_price list_price einzelpreis
        stueckpreis stuckpreis preis preis_pro_stuck verkaufspreis prix prix_unitaire pu prix_vente precio precio_unitario preco
        preco_unitario valor_unitario prezzo prezzo_unitario prijs stukprijs eenheidsprijs verkoopprijs 单价 价格 商品价格 售价""",
    "quantity": """
        quantity qty quantities units number_of_units num_items number_of_cds pieces count_units item_quantity menge anzahl
        stuck stuckzahl stueckzahl quantite qte nombre nb_articles cantidad unidades quantidade qtd qtde quantita pezzi
        hoeveelheid aantal stuks 数量 件数 购买数量""",
    "amount": """
        amount sales_value revenue total total_amount total_price order_value order_total order_amount line_total line_amount
        sales sale_amount spend value dollar_value purchase_amount transaction_amount transaction_value payment_value paid
        gross_amount net_amount turnover betrag umsatz gesamtbetrag gesamtpreis summe gesamt wert bestellwert rechnungsbetrag
        montant montant_total total_ttc prix_total chiffre_affaires ca importe importe_total monto total_venta valor valor_total
        total_pedido importo importo_total totale prezzo_totale fatturato bedrag totaal totaalbedrag omzet totaalprijs 金额
        总金额 订单金额 支付金额 付款金额 实付金额 交易金额 销售额 总价""",
    "currency": "currency currency_code curr wahrung waehrung devise moneda moeda valuta munt 币种 货币",
    "dwell_s": """
        dwell_s dwell dwell_time dwell_seconds duration_s duration_seconds time_on_page time_spent verweildauer duree_visite
        停留时间 停留时长""",
    "rating": """
        rating stars star_rating review_score score bewertung sterne note_client calificacion avaliacao valutazione beoordeling
        评分 星级""",
    "text": """
        text review_text reviewtext review_body search_term search_query searchterm query comment message review suchbegriff
        suchanfrage kommentar recherche commentaire busqueda comentario busca ricerca commento zoekterm opmerking 评论内容
        搜索词 关键词""",
    "offer_id": """
        offer_id offerid offer campaign_id campaign promotion_id promotion promo_id promo_code coupon_id coupon coupon_code
        voucher voucher_code kampagne kampagnen_id gutschein gutschein_code aktion_id campagne id_campagne code_promo
        bon_reduction campana id_campana cupon campanha cupom campagna coupon_codice actie_id kortingscode 活动id 优惠券
        优惠券id 促销id""",
    "channel": """
        channel sales_channel marketing_channel source_medium traffic_source kanal vertriebskanal canal canal_de_vente
        canal_venta canal_venda canale canale_vendita kanaal verkoopkanaal 渠道 来源渠道""",
})  # fmt: skip
"""Plain column name -> canonical column."""

KIND_NAMES: Final = _table({
    "view": """
        view views viewed page_view pageview page_viewed screen_view view_item view_item_list item_view item_viewed product_view
        product_viewed view_product product_detail detail_view detail pv visit browse browsing view_content ansicht aufruf
        seitenaufruf angesehen produktansicht artikelansicht vue consultation consulte page_vue produit_vu visite vista visto
        visita visualizacion visualizacao visualizou visualizzazione visualizzato weergave bekeken paginaweergave 浏览 查看
        浏览商品 访问""",
    "click": """
        click clicks item_click product_click select_item product_clicked klick angeklickt clic clique cliquer klik geklikt 点击""",
    "search": """
        search searched site_search view_search_results products_searched suche gesucht suchanfrage recherche busqueda buscar
        busca pesquisa ricerca zoeken zoekopdracht gezocht 搜索 检索""",
    "favourite": """
        favourite favorite fav favourited favorited like liked save saved wishlist add_to_wishlist addtowishlist wishlist_add
        product_added_to_wishlist bookmark merkzettel wunschliste gemerkt favorit favori favoris ajout_favoris favorito
        favoritos preferito lista_desideri favoriet verlanglijst 收藏 加收藏 喜欢 关注""",
    "cart": """
        cart basket add_to_cart addtocart added_to_cart add_to_basket add_to_bag product_added product_added_to_cart cart_add
        basket_add warenkorb in_den_warenkorb einkaufswagen panier ajout_panier ajout_au_panier carrito anadir_al_carrito
        agregar_al_carrito carrinho adicionar_ao_carrinho carrello aggiungi_al_carrello aggiunta_carrello winkelwagen winkelmand
        toevoegen_aan_winkelwagen 加购 加购物车 加入购物车 购物车""",
    "purchase": """
        purchase purchased purchases buy bought buying order ordered order_completed order_placed place_order order_paid
        order_created completed_order transaction transactions sale sales sold checkout_completed checkout_complete payment paid
        payment_success kauf gekauft bestellung bestellt verkauf einkauf achat achete commande vente compra comprado comprar
        pedido venta comprou venda acquisto acquistato ordine vendita aankoop gekocht bestelling besteld verkoop koop 购买 下单
        支付 付款 成交 订单 交易""",
    "refund": """
        refund refunded refunds return returned order_refunded order_returned order_cancelled order_canceled cancel cancelled
        canceled cancellation chargeback credit_note ruckgabe rueckgabe retoure erstattung storno storniert stornierung
        gutschrift widerruf remboursement rembourse retour annulation annule avoir devolucion reembolso cancelacion cancelado
        anulacion devolucao estorno cancelamento rimborso rimborsato reso annullamento annullato terugbetaling geretourneerd
        geannuleerd annulering 退款 退货 取消 取消订单""",
    "review": """
        review reviewed product_reviewed write_review rate rated rating bewertung bewertet rezension avis evaluation commentaire
        resena opinion valoracion avaliacao recensione beoordeling 评价 评论 评分""",
    "shown": """
        shown sent delivered impression impressions ad_impression email_sent message_sent email_delivered sms_sent push_sent
        campaign_sent gesendet zugestellt angezeigt envoye affiche enviado entregado mostrado entregue inviato mostrato
        verzonden getoond 曝光 展示 发送 触达""",
    "opened": """
        opened open email_open email_opened message_opened push_opened geoffnet ouvert abierto aberto aperto geopend 打开
        邮件打开""",
    "clicked": """
        clicked email_click email_clicked message_clicked ad_click ad_clicked link_clicked push_clicked campaign_click 广告点击
        邮件点击""",
    "redeemed": """
        redeemed redeem redemption coupon_redeemed coupon_redemption coupon_used voucher_redeemed eingelost gutschein_eingelost
        utilise coupon_utilise canjeado canje resgatado resgate riscattato utilizzato ingewisseld 核销 优惠券使用 领券使用""",
    "subscribe": """
        subscribe subscribed subscription newsletter_subscribe email_subscribed opt_in sign_up_newsletter abonniert
        anmeldung_newsletter abonnement abonne suscripcion suscrito inscricao iscrizione iscritto aangemeld 订阅""",
    "unsubscribe": """
        unsubscribe unsubscribed opt_out optout newsletter_unsubscribe email_unsubscribed abgemeldet abmeldung desabonnement
        desabonne baja desuscripcion descadastro disiscrizione disiscritto afgemeld 退订 取消订阅""",
    "enquiry": """
        enquiry inquiry support support_ticket ticket ticket_created contact contact_support chat chat_started complaint call
        anfrage kundenanfrage reklamation beschwerde demande reclamation consulta reclamacion reclamacao richiesta reclamo vraag
        klacht 咨询 客服 投诉 询问""",
})  # fmt: skip
"""Plain event name -> kind."""

CART_WORDS: Final = frozenset(
    ["cart", "basket", "bag", "warenkorb", "panier", "carrito", "carrinho", "carrello", "winkelwagen", "winkelmand"]
)
BOUGHT_WORDS: Final = frozenset(["purchase", "purchased", "order", "bought", "transaction", "sale", "kauf", "achat", "compra", "acquisto"])
AWAY_WORDS: Final = frozenset(
    ["remove", "removed", "delete", "deleted", "from", "out", "view", "viewed", "abandon", "abandoned", "empty", "clear", "cancel",
     "cancelled", "canceled", "return", "returned", "refund", "refunded", "start", "started", "begin", "failed", "pending"]
)  # fmt: skip
"""Words that turn an event about a cart or an order into something else than filling the one or placing the other."""

MISSING_WORDS: Final = frozenset(
    {"", "-", "--", "na", "n/a", "nan", "null", "none", "nil", "nat", "#n/a", "#na", "<na>", "\\n", "(null)", "(none)", "inf", "-inf",
     "+inf", "infinity", "-infinity", "+infinity", "#value!", "#div/0!"}
)  # fmt: skip
"""What a file writes, in lower case, where a number, a time or a customer is not known."""

TRUE_WORDS: Final = frozenset(["true", "yes", "y", "t", "ja", "oui", "si", "sí", "sim", "是", "真"])
FALSE_WORDS: Final = frozenset(["false", "no", "n", "f", "nein", "non", "não", "nao", "nee", "否", "假"])
"""Words for yes and no, in lower case."""

NEUTRAL_WORDS: Final = frozenset(
    ["id", "nr", "no", "num", "number", "nummer", "code", "key", "in", "eur", "euro", "usd", "gbp", "chf", "brl", "cny", "rmb", "utc",
     "gmt", "local", "s", "sec", "col", "field", "de", "da", "do", "del", "di", "du", "der", "des", "la", "le", "the", "of", "my", "raw",
     "str", "hash", "n", "incl", "excl", "tax", "vat", "mwst", "ttc", "ht", "brutto", "netto", "gross", "net"]
)  # fmt: skip
"""Words beside a known one that do not change what a column is."""
