// What the page says, in English and Chinese. What the server says (problems, reasons) stays as it is.

const LANGUAGE = "grayplane-language";

const TEXTS = {
  en: {
    overview: "Overview", services: "Services", documents: "Documents", proxies: "Proxies", rollouts: "Rollouts",
    service: "Service", document: "Document", proxy: "Proxy", rollout: "Rollout",
    skip: "Skip to content", language: "中文", dark: "Dark", light: "Light",
    live: "live", away: "reconnecting…", loading: "Loading…", updated: "Updated",
    search: "Search by name", state: "State", all: "all", more: "Show {n} more", none: "None.", of: "of",
    name: "Name", namespace: "Namespace", split: "Split now", trend: "Split over time", instances: "Instances",
    inStep: "In step", sources: "Sources", well: "well", trouble: "in trouble", "from source": "what it says now is served", "from last known good": "the last known good is served", "from nothing yet": "nothing is served yet",
    underWay: "Rollouts under way", active: "under way", andMore: "and {n} more", problem: "Problem", noVerdict: "none yet",
    hosts: "Hosts", subsets: "Subsets", subset: "Subset", labels: "Labels", baseline: "baseline", noSplit: "no split",
    notWatched: "not watched", notWatchedWhy: "Registered, and not watched: no rule and no proxy needs it.",
    noRules: "No rules: the name routes to all instances.", rule: "Rule",
    explain: "Who gets what", explainHelp: "Type a request to see where it goes and why.", method: "Method", uri: "Path and query",
    headers: "Headers, one a line: x-user-id: 42", sourceIp: "Client address", ask: "Explain", goes: "It goes to",
    matched: "matched", notMatched: "did not match", noRule: "no rule: the baseline",
    problems: "Problems", noProblems: "Nothing is wrong with it.", text: "Text", revision: "Revision", inForce: "In force",
    nothingInForce: "nothing", kind: "Kind", rejections: "Rejected by proxies", behind: "Behind", hint: "Hint",
    edit: "Edit", check: "Check", compare: "What would change", publish: "Publish", published: "Published as revision {revision}.",
    noErrors: "No errors.", reason: "Reason, for the audit log", cancel: "Cancel", confirm: "Do it", changesNothing: "It changes nothing.",
    group: "Group", role: "Role", address: "Address", version: "Envoy", streams: "Streams", since: "Since", lacks: "Does not run yet",
    runsAll: "It runs everything that it should.", runs: "Runs", connected: "Connected", behindFor: "since {since}",
    phase: "Phase", step: "Step", weight: "Weight", verdict: "Verdict", why: "Why", steps: "Steps", history: "Earlier rollouts",
    success: "Success rate", latency: "Latency, p99", requests: "Requests", gray: "gray",
    promote: "Promote", approve: "Approve", pause: "Pause", resume: "Resume", abort: "Abort", retry: "Retry",
    promoteAsk: "Give all traffic to the gray subset now, without the steps that are left?",
    approveAsk: "Go on to the next step?", pauseAsk: "Stay at this step until it is resumed?", resumeAsk: "Go on?",
    abortAsk: "Take all traffic back to the baseline?", retryAsk: "Begin again at the first step?",
    token: "Token", tokenAsk: "This server wants a token. It stays in this tab.", signIn: "Sign in", signOut: "Sign out",
    loginAsk: "Sign in with your organisation's account.", useToken: "Use a token instead",
    notFound: "There is no such page.", failed: "This did not work: {why}",
    Programmed: "Programmed", Programming: "Programming", Rejected: "Rejected", Waiting: "Waiting", Quarantined: "Quarantined",
    Entering: "entering a step", Observing: "observing", Leaving: "leaving a step", Paused: "paused", Promoted: "promoted", RolledBack: "rolled back", Disabled: "disabled",
    Passed: "passed", Undecided: "undecided", Failed: "failed", TooFewRequests: "too few requests", Missing: "figures missing",
    "in step": "in step", "behind.": "behind", "rejected.": "rejects", unknown: "unknown", errors: "{n} errors", warnings: "{n} warnings",
  },
  zh: {
    overview: "总览", services: "服务", documents: "文档", proxies: "代理", rollouts: "灰度发布",
    service: "服务", document: "文档", proxy: "代理", rollout: "灰度发布",
    skip: "跳到正文", language: "English", dark: "深色", light: "浅色",
    live: "实时", away: "重新连接中…", loading: "加载中…", updated: "已更新",
    search: "按名称搜索", state: "状态", all: "全部", more: "再显示 {n} 项", none: "无。", of: "/",
    name: "名称", namespace: "命名空间", split: "当前流量比例", trend: "流量比例的变化", instances: "实例",
    inStep: "已同步", sources: "来源", well: "正常", trouble: "故障", "from source": "正在使用其当前内容", "from last known good": "正在使用最后一次有效的内容", "from nothing yet": "尚未提供内容",
    underWay: "进行中的灰度发布", active: "进行中", andMore: "还有 {n} 项", problem: "问题", noVerdict: "暂无",
    hosts: "域名", subsets: "子集", subset: "子集", labels: "标签", baseline: "基线", noSplit: "未分流",
    notWatched: "未监听", notWatchedWhy: "已注册但未监听：没有规则或代理需要它。",
    noRules: "没有规则：按名称路由到全部实例。", rule: "规则",
    explain: "谁会得到什么", explainHelp: "输入一个请求，查看它的去向和原因。", method: "方法", uri: "路径和查询参数",
    headers: "请求头，每行一个：x-user-id: 42", sourceIp: "客户端地址", ask: "解释", goes: "去向",
    matched: "匹配", notMatched: "不匹配", noRule: "无规则：基线",
    problems: "问题", noProblems: "没有问题。", text: "内容", revision: "修订", inForce: "生效中",
    nothingInForce: "无", kind: "类型", rejections: "被代理拒绝", behind: "落后", hint: "提示",
    edit: "编辑", check: "检查", compare: "会改变什么", publish: "发布", published: "已发布，修订 {revision}。",
    noErrors: "没有错误。", reason: "原因（写入审计日志）", cancel: "取消", confirm: "执行", changesNothing: "没有变化。",
    group: "分组", role: "角色", address: "地址", version: "Envoy", streams: "流", since: "开始时间", lacks: "尚未生效",
    runsAll: "应有的配置全部生效。", runs: "正在使用", connected: "已连接", behindFor: "自 {since} 起",
    phase: "阶段", step: "步骤", weight: "权重", verdict: "结论", why: "原因", steps: "步骤", history: "历史发布",
    success: "成功率", latency: "延迟 p99", requests: "请求数", gray: "灰度",
    promote: "全量", approve: "批准", pause: "暂停", resume: "继续", abort: "中止", retry: "重试",
    promoteAsk: "跳过剩余步骤，立即把全部流量切到灰度子集？",
    approveAsk: "进入下一步？", pauseAsk: "停在这一步，直到继续？", resumeAsk: "继续？",
    abortAsk: "把全部流量切回基线？", retryAsk: "从第一步重新开始？",
    token: "令牌", tokenAsk: "此服务器需要令牌。令牌只保存在当前标签页。", signIn: "登录", signOut: "退出",
    loginAsk: "请使用组织账号登录。", useToken: "改用令牌",
    notFound: "没有这个页面。", failed: "未能完成：{why}",
    Programmed: "已生效", Programming: "下发中", Rejected: "有错误", Waiting: "等待中", Quarantined: "已隔离",
    Entering: "进入步骤", Observing: "观察中", Leaving: "离开步骤", Paused: "已暂停", Promoted: "已全量", RolledBack: "已回滚", Disabled: "已停用",
    Passed: "通过", Undecided: "未定", Failed: "未通过", TooFewRequests: "请求太少", Missing: "缺少数据",
    "in step": "已同步", "behind.": "落后", "rejected.": "已拒绝", unknown: "未知", errors: "{n} 个错误", warnings: "{n} 个警告",
  },
};

let language = localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh" : "en");
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";

/** A text in the chosen language, with `{name}` replaced by its value. */
export function t(key, values = {}) {
  const text = TEXTS[language][key] ?? TEXTS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A state as the API names it. */
export function stateText(state) {
  return t(state === "behind" || state === "rejected" ? `${state}.` : state);
}

/** Choose the other language. */
export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem(LANGUAGE, language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}

/** A number as people of the language write it. */
export function number(value, digits = 2) {
  return new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: digits }).format(value);
}

/** A date and time. */
export function dateTime(value) {
  return value ? new Date(value).toLocaleString(document.documentElement.lang) : "";
}

/** A time of the day. */
export function time(value) {
  return value.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
}
